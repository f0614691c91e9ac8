using System.Runtime.CompilerServices;

namespace FlowMM.Model.Templates;

/// <summary>Reads the statements of a template.</summary>
internal sealed class TemplateParser(List<Token> tokens) : ExpressionParser(tokens)
{
    public IReadOnlyList<Statement> Parse()
    {
        IReadOnlyList<Statement> all = Body(out string end);
        return end.Length == 0 ? all : throw new TemplateException($"The chat template has an '{end}' that closes nothing.");
    }

    /// <summary>Statements up to a tag that begins with else, elif or end; that tag's name is taken, the rest of it not.</summary>
    private List<Statement> Body(out string end)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        List<Statement> body = [];
        while (true)
        {
            Token token = Take();
            switch (token.Kind)
            {
                case TokenKind.End:
                    end = "";
                    return body;
                case TokenKind.Text:
                    body.Add(new Literal(token.Value));
                    break;
                case TokenKind.OpenOutput:
                    body.Add(new Print(Expression()));
                    Close();
                    break;
                default:
                    string name = Name();
                    if (name is "else" or "elif" || name.StartsWith("end", StringComparison.Ordinal))
                    {
                        end = name;
                        return body;
                    }

                    body.Add(Tag(name));
                    break;
            }
        }
    }

    private Statement Tag(string name)
    {
        switch (name)
        {
            case "if":
                return If();
            case "for":
                return For();
            case "set":
                return Set();
            case "macro":
                return DefineMacro();
            case "generation":
                Close();
                return new Group(Block("endgeneration"));
            case "break" or "continue":
                Close();
                return new LeaveLoop(name == "break");
            default:
                throw new TemplateException($"The chat template uses the unknown tag '{name}'.");
        }
    }

    private void Close()
    {
        if (Take().Kind != TokenKind.Close)
        {
            throw new TemplateException("A tag of the chat template holds more than it should.");
        }
    }

    private List<Statement> Block(string expected)
    {
        List<Statement> body = Body(out string end);
        if (end != expected)
        {
            throw new TemplateException($"The chat template has '{end}' where '{expected}' must be.");
        }

        Close();
        return body;
    }

    private Conditional If()
    {
        List<(Expression?, IReadOnlyList<Statement>)> branches = [];
        Expression? condition = Expression();
        Close();
        while (true)
        {
            List<Statement> body = Body(out string end);
            branches.Add((condition, body));
            condition = end == "elif" ? Expression() : null;
            Close();
            if (end == "endif")
            {
                return new Conditional(branches);
            }

            if (end is not ("elif" or "else"))
            {
                throw new TemplateException($"The chat template has '{end}' where 'endif' must be.");
            }
        }
    }

    private Loop For()
    {
        List<string> names = [Name()];
        while (Skip(","))
        {
            names.Add(Name());
        }

        Expect("in");
        Expression over = Or();
        Expression? where = Skip("if") ? Or() : null;
        Close();
        List<Statement> body = Body(out string end), otherwise = [];
        Close();
        if (end == "else")
        {
            otherwise = Block("endfor");
        }
        else if (end != "endfor")
        {
            throw new TemplateException($"The chat template has '{end}' where 'endfor' must be.");
        }

        return new Loop(names, over, where, body, otherwise);
    }

    private Statement Set()
    {
        string name = Name();
        string? field = Skip(".") ? Name() : null;
        if (!Skip("="))
        {
            Close();
            return new AssignBlock(name, Block("endset"));
        }

        Expression value = Expression();
        Close();
        return new Assign(name, field, value);
    }

    private DefineMacro DefineMacro()
    {
        string name = Name();
        List<(string, Expression?)> parameters = [];
        Expect("(");
        while (!Skip(")"))
        {
            string parameter = Name();
            parameters.Add((parameter, Skip("=") ? Expression() : null));
            if (!Is(")"))
            {
                Expect(",");
            }
        }

        Close();
        return new DefineMacro(name, parameters, Block("endmacro"));
    }
}
