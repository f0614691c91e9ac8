using System.Runtime.CompilerServices;

namespace FlowMM.Model.Templates;

/// <summary>A part of a template that writes output or changes variables.</summary>
internal abstract record Statement
{
    public abstract void Run(Scope scope);

    public static void RunAll(IReadOnlyList<Statement> body, Scope scope)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        foreach (Statement statement in body)
        {
            scope.Output.Step();
            statement.Run(scope);
        }
    }
}

internal sealed record Literal(string Text) : Statement
{
    public override void Run(Scope scope) => scope.Output.Write(Text);
}

internal sealed record Print(Expression Value) : Statement
{
    public override void Run(Scope scope) => scope.Output.Write(Values.Text(Value.Evaluate(scope)));
}

internal sealed record Assign(string Name, string? Field, Expression Value) : Statement
{
    public override void Run(Scope scope)
    {
        object? value = Value.Evaluate(scope);
        if (Field is null)
        {
            scope.Set(Name, value);
        }
        else if (scope.Get(Name) is Namespace space)
        {
            space[Field] = value;
        }
        else
        {
            throw new TemplateException($"The chat template sets '{Name}.{Field}', and '{Name}' is no namespace.");
        }
    }
}

internal sealed record AssignBlock(string Name, IReadOnlyList<Statement> Body) : Statement
{
    public override void Run(Scope scope)
    {
        Output captured = new(scope.Output);
        RunAll(Body, new Scope(scope, captured));
        scope.Set(Name, captured.ToString());
    }
}

internal sealed record Conditional(IReadOnlyList<(Expression? Condition, IReadOnlyList<Statement> Body)> Branches) : Statement
{
    public override void Run(Scope scope)
    {
        foreach ((Expression? condition, IReadOnlyList<Statement> body) in Branches)
        {
            if (condition is null || Values.Truth(condition.Evaluate(scope)))
            {
                RunAll(body, scope);
                return;
            }
        }
    }
}

/// <summary>Statements that change nothing by themselves: generation marks.</summary>
internal sealed record Group(IReadOnlyList<Statement> Body) : Statement
{
    public override void Run(Scope scope) => RunAll(Body, scope);
}

internal sealed record Loop(IReadOnlyList<string> Names, Expression Over, Expression? Where, IReadOnlyList<Statement> Body, IReadOnlyList<Statement> Otherwise) : Statement
{
    public override void Run(Scope scope)
    {
        List<object?> items = [.. Values.Items(Over.Evaluate(scope)).Where(i => Where is null || Values.Truth(Where.Evaluate(Bind(new Scope(scope, scope.Output), i))))];
        if (items.Count == 0)
        {
            RunAll(Otherwise, scope);
        }

        for (int i = 0; i < items.Count; i++)
        {
            scope.Output.Step();
            Scope inner = Bind(new Scope(scope, scope.Output), items[i]);
            inner.Set("loop", Position(items, i));
            try
            {
                RunAll(Body, inner);
            }
            catch (LoopSignal signal)
            {
                if (signal.Ends)
                {
                    return;
                }
            }
        }
    }

    private static Dictionary<string, object?> Position(List<object?> items, int i) => new()
    {
        ["index"] = i + 1L,
        ["index0"] = (long)i,
        ["revindex"] = (long)(items.Count - i),
        ["revindex0"] = (long)(items.Count - i - 1),
        ["first"] = i == 0,
        ["last"] = i == items.Count - 1,
        ["length"] = (long)items.Count,
        ["previtem"] = i > 0 ? items[i - 1] : Undefined.Value,
        ["nextitem"] = i + 1 < items.Count ? items[i + 1] : Undefined.Value,
    };

    private Scope Bind(Scope scope, object? item)
    {
        if (Names.Count == 1)
        {
            scope.Set(Names[0], item);
            return scope;
        }

        List<object?> parts = Values.Items(item);
        if (parts.Count != Names.Count)
        {
            throw new TemplateException($"The chat template unpacks {parts.Count} values into {Names.Count} names.");
        }

        for (int i = 0; i < parts.Count; i++)
        {
            scope.Set(Names[i], parts[i]);
        }

        return scope;
    }
}

/// <summary>break or continue, on its way to the loop.</summary>
internal sealed class LoopSignal(bool ends) : Exception
{
    public bool Ends { get; } = ends;
}

internal sealed record LeaveLoop(bool Ends) : Statement
{
    public override void Run(Scope scope) => throw new LoopSignal(Ends);
}

internal sealed record DefineMacro(string Name, IReadOnlyList<(string Name, Expression? Default)> Parameters, IReadOnlyList<Statement> Body) : Statement
{
    public override void Run(Scope scope) => scope.Set(Name, new Macro(this, scope));
}

/// <summary>A macro with the scope it was defined in.</summary>
internal sealed class Macro(DefineMacro definition, Scope defined)
{
    private const int MaxDepth = 64;
    private int _depth;

    public string Call(object?[] arguments, Dictionary<string, object?> named)
    {
        if (++_depth > MaxDepth)
        {
            throw new TemplateException($"The chat template's macro '{definition.Name}' calls itself more than {MaxDepth} times deep.");
        }

        Output captured = new(defined.Output);
        Scope scope = new(defined, captured);
        foreach ((int i, (string name, Expression? otherwise)) in definition.Parameters.Index())
        {
            scope.Set(name, i < arguments.Length ? arguments[i] : named.TryGetValue(name, out object? given) ? given : otherwise?.Evaluate(defined) ?? Undefined.Value);
        }

        Statement.RunAll(definition.Body, scope);
        _depth--;
        return captured.ToString();
    }
}
