using System.Globalization;
using System.Runtime.CompilerServices;

namespace FlowMM.Model.Templates;

/// <summary>Reads expressions by Jinja's precedence: inline if, or, and, not, comparison, ~ , + -, * / // %, unary minus, postfix.</summary>
internal class ExpressionParser(List<Token> tokens)
{
    private const int MaxDepth = 200;
    private int _at;
    private int _depth;

    protected Token Current => tokens[_at];

    protected Token Take() => tokens[_at++];

    protected bool Is(string value, int ahead = 0) =>
        _at + ahead < tokens.Count && tokens[_at + ahead] is { Kind: TokenKind.Name or TokenKind.Operator } token && token.Value == value;

    protected bool Skip(string value)
    {
        bool found = Is(value);
        _at += found ? 1 : 0;
        return found;
    }

    protected void Expect(string value)
    {
        if (!Skip(value))
        {
            throw new TemplateException($"The chat template has '{Current.Value}' where '{value}' must be.");
        }
    }

    protected string Name() => Current.Kind == TokenKind.Name ? Take().Value : throw new TemplateException($"The chat template has '{Current.Value}' where a name must be.");

    protected Expression Expression()
    {
        if (++_depth > MaxDepth)
        {
            throw new TemplateException("The chat template nests expressions too deep.");
        }

        Expression value = Or();
        while (Skip("if"))
        {
            Expression condition = Or();
            value = new Choice(condition, value, Skip("else") ? Expression() : null);
        }

        _depth--;
        return value;
    }

    protected Expression Or() => Left(And, "or");

    private Expression And() => Left(Not, "and");

    private Expression Not()
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        return Skip("not") ? new Unary("not", Not()) : Comparison();
    }

    private Expression Comparison()
    {
        Expression left = Concat();
        while (true)
        {
            if (Is("not") && Is("in", 1))
            {
                _at += 2;
                left = new Binary("not in", left, Concat());
            }
            else if (new[] { "==", "!=", "<=", ">=", "<", ">", "in" }.FirstOrDefault(o => Is(o)) is string found)
            {
                _at++;
                left = new Binary(found, left, Concat());
            }
            else
            {
                return left;
            }
        }
    }

    private Expression Concat() => Left(Sum, "~");

    private Expression Sum() => Left(Product, "+", "-");

    private Expression Product() => Left(Sign, "*", "/", "//", "%");

    private Expression Sign()
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        return Skip("-") ? new Unary("-", Sign()) : Tested(Postfix(Primary()));
    }

    private Expression Left(Func<Expression> next, params string[] operators)
    {
        Expression left = next();
        while (operators.FirstOrDefault(o => Is(o)) is string found)
        {
            _at++;
            left = new Binary(found, left, next());
        }

        return left;
    }

    private Expression Tested(Expression value)
    {
        while (Is("|") || Is("is"))
        {
            if (Skip("|"))
            {
                string name = Name();
                (List<Expression> arguments, Dictionary<string, Expression> named) = Skip("(") ? Arguments() : ([], []);
                value = Postfix(new Filter(value, name, arguments, named));
                continue;
            }

            Expect("is");
            bool negated = Skip("not");
            string test = Name();
            Expression? argument = Is("(") || Current.Kind is TokenKind.String or TokenKind.Number ? Primary() : null;
            value = new Test(value, test, argument, negated);
        }

        return value;
    }

    private Expression Postfix(Expression value)
    {
        while (true)
        {
            if (Skip("."))
            {
                value = new Member(value, new Constant(Name()));
            }
            else if (Skip("["))
            {
                value = Index(value);
            }
            else if (Skip("("))
            {
                (List<Expression> arguments, Dictionary<string, Expression> named) = Arguments();
                value = new Call(value, arguments, named);
            }
            else
            {
                return value;
            }
        }
    }

    private Expression Index(Expression target)
    {
        Expression? from = Is(":") ? null : Expression();
        if (Skip("]"))
        {
            return new Member(target, from!);
        }

        Expect(":");
        Expression? to = Is("]") || Is(":") ? null : Expression();
        Expression? step = Skip(":") && !Is("]") ? Expression() : null;
        Expect("]");
        return new Slice(target, from, to, step);
    }

    private (List<Expression> Arguments, Dictionary<string, Expression> Named) Arguments()
    {
        List<Expression> arguments = [];
        Dictionary<string, Expression> named = [];
        while (!Skip(")"))
        {
            if (Current.Kind == TokenKind.Name && Is("=", 1))
            {
                string name = Name();
                Expect("=");
                named[name] = Expression();
            }
            else
            {
                arguments.Add(Expression());
            }

            if (!Is(")"))
            {
                Expect(",");
            }
        }

        return (arguments, named);
    }

    private Expression Primary()
    {
        Token token = Take();
        switch (token.Kind)
        {
            case TokenKind.String:
                string text = token.Value;
                while (Current.Kind == TokenKind.String)
                {
                    text += Take().Value;
                }

                return new Constant(text);
            case TokenKind.Number:
                return Number(token.Value);
            case TokenKind.Name:
                return token.Value switch
                {
                    "true" or "True" => new Constant(true),
                    "false" or "False" => new Constant(false),
                    "none" or "None" => new Constant(null),
                    _ => new Variable(token.Value),
                };
            case TokenKind.Operator when token.Value is "(":
                return Parenthesis();
            case TokenKind.Operator when token.Value is "[":
                return new ListOf(Until("]"));
            case TokenKind.Operator when token.Value is "{":
                return Map();
            default:
                throw new TemplateException($"The chat template has '{token.Value}' where a value must be.");
        }
    }

    /// <summary>A whole number stays one: an index of type double would find nothing.</summary>
    private static Constant Number(string digits)
    {
        if (digits.Contains('.', StringComparison.Ordinal))
        {
            return new Constant(double.Parse(digits, CultureInfo.InvariantCulture));
        }

        return long.TryParse(digits, CultureInfo.InvariantCulture, out long whole)
            ? new Constant(whole)
            : throw new TemplateException($"The chat template has the number {digits}, which is too large.");
    }

    private Expression Parenthesis()
    {
        Expression first = Expression();
        if (Skip(")"))
        {
            return first;
        }

        Expect(",");
        return new ListOf([first, .. Until(")")]);
    }

    private List<Expression> Until(string close)
    {
        List<Expression> items = [];
        while (!Skip(close))
        {
            items.Add(Expression());
            if (!Is(close))
            {
                Expect(",");
            }
        }

        return items;
    }

    private MapOf Map()
    {
        List<(Expression, Expression)> items = [];
        while (!Skip("}"))
        {
            Expression key = Expression();
            Expect(":");
            items.Add((key, Expression()));
            if (!Is("}"))
            {
                Expect(",");
            }
        }

        return new MapOf(items);
    }
}
