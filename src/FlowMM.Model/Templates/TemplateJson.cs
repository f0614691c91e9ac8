using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace FlowMM.Model.Templates;

/// <summary>tojson as transformers defines it (no HTML escapes, non-ASCII kept, ", " and ": "), and Python's way of printing lists.</summary>
internal static class TemplateJson
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Json(object? value, int? indent)
    {
        StringBuilder text = new();
        Write(text, value, indent, 0, s => JsonSerializer.Serialize(s, Plain));
        return text.ToString();
    }

    public static string Python(object? value)
    {
        StringBuilder text = new();
        Write(text, value, null, 0, s => $"'{s}'");
        return text.Replace("true", "True").Replace("false", "False").Replace("null", "None").ToString();
    }

    private static void Write(StringBuilder text, object? value, int? indent, int depth, Func<string, string> quote)
    {
        // A list may hold itself.
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (text.Length > Values.LongestText)
        {
            throw Values.TooLong();
        }

        switch (value)
        {
            case null or Undefined:
                text.Append("null");
                break;
            case bool b:
                text.Append(b ? "true" : "false");
                break;
            case string s:
                text.Append(quote(s));
                break;
            case Dictionary<string, object?> map:
                Enclose(text, '{', '}', map.Select(p => (Action)(() =>
                {
                    text.Append(quote(p.Key)).Append(": ");
                    Write(text, p.Value, indent, depth + 1, quote);
                })), indent, depth);
                break;
            case List<object?> list:
                Enclose(text, '[', ']', list.Select(i => (Action)(() => Write(text, i, indent, depth + 1, quote))), indent, depth);
                break;
            case IFormattable number:
                text.Append(number.ToString(null, CultureInfo.InvariantCulture));
                break;
            default:
                throw new TemplateException("The chat template writes as JSON what has no such form.");
        }
    }

    private static void Enclose(StringBuilder text, char open, char close, IEnumerable<Action> items, int? indent, int depth)
    {
        text.Append(open);
        bool any = false;
        foreach (Action item in items)
        {
            text.Append(any ? indent is null ? ", " : "," : "");
            any = true;
            _ = indent is int n ? text.Append('\n').Append(' ', n * (depth + 1)) : text;
            item();
        }

        _ = any && indent is int width ? text.Append('\n').Append(' ', width * depth) : text;
        text.Append(close);
    }
}
