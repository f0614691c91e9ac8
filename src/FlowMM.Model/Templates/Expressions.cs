using System.Runtime.CompilerServices;

namespace FlowMM.Model.Templates;

/// <summary>An expression of a template.</summary>
internal abstract record Expression
{
    /// <summary>The value. Depth and work are bounded here, for every kind of expression.</summary>
    /// <exception cref="InsufficientExecutionStackException">Nested deeper than the stack is.</exception>
    public object? Evaluate(Scope scope)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        scope.Output.Step();
        object? value = Compute(scope);
        scope.Output.Weigh(value);
        return value;
    }

    protected abstract object? Compute(Scope scope);
}

internal sealed record Constant(object? Value) : Expression
{
    protected override object? Compute(Scope scope) => Value;
}

internal sealed record Variable(string Name) : Expression
{
    protected override object? Compute(Scope scope) => scope.Get(Name);
}

internal sealed record ListOf(IReadOnlyList<Expression> Items) : Expression
{
    protected override object? Compute(Scope scope) => Items.Select(i => i.Evaluate(scope)).ToList();
}

internal sealed record MapOf(IReadOnlyList<(Expression Key, Expression Value)> Items) : Expression
{
    protected override object? Compute(Scope scope)
    {
        Dictionary<string, object?> map = [];
        foreach ((Expression key, Expression value) in Items)
        {
            map[Values.Text(key.Evaluate(scope))] = value.Evaluate(scope);
        }

        return map;
    }
}

internal sealed record Member(Expression Target, Expression Key) : Expression
{
    protected override object? Compute(Scope scope) => Values.Item(Target.Evaluate(scope), Key.Evaluate(scope));
}

internal sealed record Slice(Expression Target, Expression? From, Expression? To, Expression? Step) : Expression
{
    protected override object? Compute(Scope scope) => Values.Slice(
        Target.Evaluate(scope), (long?)From?.Evaluate(scope), (long?)To?.Evaluate(scope), (long?)Step?.Evaluate(scope) ?? 1);
}

internal sealed record Unary(string Operator, Expression Operand) : Expression
{
    protected override object? Compute(Scope scope) => Operator == "not"
        ? !Values.Truth(Operand.Evaluate(scope))
        : Values.Arithmetic("-", 0L, Operand.Evaluate(scope));
}

internal sealed record Binary(string Operator, Expression Left, Expression Right) : Expression
{
    protected override object? Compute(Scope scope)
    {
        object? left = Left.Evaluate(scope);
        return Operator switch
        {
            "and" => Values.Truth(left) ? Right.Evaluate(scope) : left,
            "or" => Values.Truth(left) ? left : Right.Evaluate(scope),
            "==" => Values.Same(left, Right.Evaluate(scope)),
            "!=" => !Values.Same(left, Right.Evaluate(scope)),
            "in" => Values.Contains(Right.Evaluate(scope), left),
            "not in" => !Values.Contains(Right.Evaluate(scope), left),
            "~" => Values.Joined(Values.Text(left), Values.Text(Right.Evaluate(scope))),
            "<" => Values.Compare(left, Right.Evaluate(scope)) < 0,
            ">" => Values.Compare(left, Right.Evaluate(scope)) > 0,
            "<=" => Values.Compare(left, Right.Evaluate(scope)) <= 0,
            ">=" => Values.Compare(left, Right.Evaluate(scope)) >= 0,
            _ => Values.Arithmetic(Operator, left, Right.Evaluate(scope)),
        };
    }
}

internal sealed record Choice(Expression Condition, Expression Then, Expression? Otherwise) : Expression
{
    protected override object? Compute(Scope scope) => Values.Truth(Condition.Evaluate(scope)) ? Then.Evaluate(scope) : Otherwise?.Evaluate(scope) ?? Undefined.Value;
}

internal sealed record Test(Expression Operand, string Name, Expression? Argument, bool Negated) : Expression
{
    protected override object? Compute(Scope scope) => Builtins.Test(Name, Operand.Evaluate(scope), Argument?.Evaluate(scope)) != Negated;
}

internal sealed record Filter(Expression Operand, string Name, IReadOnlyList<Expression> Arguments, IReadOnlyDictionary<string, Expression> Named) : Expression
{
    protected override object? Compute(Scope scope) => Builtins.Filter(
        Name, Operand.Evaluate(scope), [.. Arguments.Select(a => a.Evaluate(scope))], Named.ToDictionary(n => n.Key, n => n.Value.Evaluate(scope)));
}

internal sealed record Call(Expression Target, IReadOnlyList<Expression> Arguments, IReadOnlyDictionary<string, Expression> Named) : Expression
{
    protected override object? Compute(Scope scope)
    {
        object?[] arguments = [.. Arguments.Select(a => a.Evaluate(scope))];
        Dictionary<string, object?> named = Named.ToDictionary(n => n.Key, n => n.Value.Evaluate(scope));
        return Target switch
        {
            Variable { Name: string name } when scope.Get(name) is Macro macro => macro.Call(arguments, named),
            Variable { Name: string name } => Builtins.Function(name, arguments, named),
            Member { Key: Constant { Value: string method } } member => Builtins.Method(member.Target.Evaluate(scope), method, arguments),
            _ => throw new TemplateException("The chat template calls what is no function."),
        };
    }
}
