using System.Text;
using System.Text.RegularExpressions;

namespace FlowMM.Model.Templates;

internal enum TokenKind
{
    Text,
    OpenOutput,
    OpenBlock,
    Close,
    Name,
    String,
    Number,
    Operator,
    End,
}

internal readonly record struct Token(TokenKind Kind, string Value);

/// <summary>
/// Cuts a Jinja template into tokens, with trim_blocks and lstrip_blocks on, as chat templates are rendered: the newline after a block
/// tag and the blanks before one on its line are not output. A minus sign strips all white space on its side.
/// </summary>
internal static partial class TemplateLexer
{
    public static List<Token> Read(string template)
    {
        List<Token> tokens = [];
        int at = 0;
        while (at < template.Length)
        {
            int open = NextTag(template, at);
            string text = template[at..open];
            if (open == template.Length)
            {
                Add(tokens, text);
                break;
            }

            char kind = template[open + 1];
            bool strip = open + 2 < template.Length && template[open + 2] == '-';
            bool keep = open + 2 < template.Length && template[open + 2] == '+';
            Add(tokens, strip ? text.TrimEnd() : kind == '{' || keep ? text : WithoutIndent(text, open == at && at > 0 && template[at - 1] != '\n'));
            at = open + 2 + (strip || keep ? 1 : 0);
            at = kind == '#' ? SkipComment(template, at) : ReadTag(template, at, kind, tokens);
        }

        tokens.Add(new(TokenKind.End, ""));
        return tokens;
    }

    private static void Add(List<Token> tokens, string text)
    {
        if (text.Length > 0)
        {
            tokens.Add(new(TokenKind.Text, text));
        }
    }

    private static int NextTag(string template, int at)
    {
        for (int i = template.IndexOf('{', at); i >= 0 && i + 1 < template.Length; i = template.IndexOf('{', i + 1))
        {
            if (template[i + 1] is '{' or '%' or '#')
            {
                return i;
            }
        }

        return template.Length;
    }

    private static string WithoutIndent(string text, bool midLine)
    {
        string cut = text.TrimEnd(' ', '\t');
        return !midLine && (cut.Length == 0 || cut[^1] == '\n') ? cut : text;
    }

    private static int SkipComment(string template, int at)
    {
        int end = template.IndexOf("#}", at, StringComparison.Ordinal);
        return end < 0 ? throw new TemplateException("A comment of the chat template does not end.") : After(template, end + 2, template[end - 1] == '-', true);
    }

    private static int After(string template, int at, bool strip, bool block)
    {
        if (strip)
        {
            while (at < template.Length && char.IsWhiteSpace(template[at]))
            {
                at++;
            }
        }
        else if (block && at < template.Length && template[at] == '\n')
        {
            at++;
        }

        return at;
    }

    private static int ReadTag(string template, int at, char kind, List<Token> tokens)
    {
        tokens.Add(new(kind == '{' ? TokenKind.OpenOutput : TokenKind.OpenBlock, ""));
        string close = kind == '{' ? "}}" : "%}";
        for (int depth = 0; ;)
        {
            while (at < template.Length && char.IsWhiteSpace(template[at]))
            {
                at++;
            }

            bool strip = at < template.Length && template[at] == '-' && string.CompareOrdinal(template, at + 1, close, 0, 2) == 0;
            if (depth == 0 && (strip || string.CompareOrdinal(template, at, close, 0, 2) == 0))
            {
                tokens.Add(new(TokenKind.Close, ""));
                return After(template, at + (strip ? 3 : 2), strip, kind == '%');
            }

            if (at >= template.Length)
            {
                throw new TemplateException("A tag of the chat template does not end.");
            }

            Token token = ReadToken(template, ref at);
            tokens.Add(token);
            depth += token.Kind != TokenKind.Operator ? 0 : token.Value is "{" ? 1 : token.Value is "}" ? -1 : 0;
        }
    }

    private static Token ReadToken(string template, ref int at)
    {
        if (template[at] is '\'' or '"')
        {
            return new(TokenKind.String, ReadString(template, ref at));
        }

        Match match = TokenPattern().Match(template, at);
        if (!match.Success)
        {
            throw new TemplateException($"The chat template has an unexpected '{template[at]}'.");
        }

        at += match.Length;
        TokenKind kind = match.Groups[1].Success ? TokenKind.Name : match.Groups[2].Success ? TokenKind.Number : TokenKind.Operator;
        return new(kind, match.Value);
    }

    private static string ReadString(string template, ref int at)
    {
        StringBuilder value = new();
        for (char quote = template[at++]; at < template.Length; at++)
        {
            char c = template[at];
            if (c == quote)
            {
                at++;
                return value.ToString();
            }

            value.Append(c != '\\' || at + 1 >= template.Length ? c : template[++at] switch { 'n' => '\n', 't' => '\t', 'r' => '\r', char other => other });
        }

        throw new TemplateException("A string of the chat template does not end.");
    }

    [GeneratedRegex(@"\G(?:([A-Za-z_]\w*)|(\d+(?:\.\d+)?)|==|!=|<=|>=|//|\*\*|[-+*/%~<>=.,:|()\[\]{}])")]
    private static partial Regex TokenPattern();
}
