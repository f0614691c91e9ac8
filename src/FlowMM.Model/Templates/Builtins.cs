using System.Globalization;
using System.Text;

namespace FlowMM.Model.Templates;

/// <summary>The functions, methods, filters and tests that chat templates use.</summary>
internal static class Builtins
{
    /// <summary>Items that are compared each with each.</summary>
    private const int MostUnique = 1000;
    private const int MostRange = 100_000;

    public static object? Function(string name, object?[] arguments, Dictionary<string, object?> named)
    {
        switch (name)
        {
            case "namespace":
                Namespace space = [];
                foreach ((string key, object? value) in named)
                {
                    space[key] = value;
                }

                return space;
            case "dict":
                return named;
            case "range":
                return Range(arguments);
            case "raise_exception":
                throw new TemplateException("The chat template refuses the messages: " + Values.Text(arguments.FirstOrDefault()));
            default:
                throw new TemplateException($"The chat template calls the unknown function '{name}'.");
        }
    }

    public static object? Method(object? target, string name, object?[] arguments)
    {
        string First(string otherwise) => arguments.Length > 0 && arguments[0] is string s ? s : otherwise;
        return (target, name) switch
        {
            (string s, "strip") => arguments.Length == 0 ? s.Trim() : s.Trim(First("").ToCharArray()),
            (string s, "lstrip") => arguments.Length == 0 ? s.TrimStart() : s.TrimStart(First("").ToCharArray()),
            (string s, "rstrip") => arguments.Length == 0 ? s.TrimEnd() : s.TrimEnd(First("").ToCharArray()),
            (string s, "split") => Split(s, arguments),
            (string s, "startswith") => s.StartsWith(First(""), StringComparison.Ordinal),
            (string s, "endswith") => s.EndsWith(First(""), StringComparison.Ordinal),
            (string s, "upper") => s.ToUpperInvariant(),
            (string s, "lower") => s.ToLowerInvariant(),
            (string s, "title" or "capitalize") => CultureInfo.InvariantCulture.TextInfo.ToTitleCase(s),
            (string s, "replace") => Replace(s, First(""), Values.Text(arguments[1])),
            (string s, "join") => Join(s, Values.Items(arguments[0])),
            (Dictionary<string, object?> m, "items") => Pairs(m),
            (Dictionary<string, object?> m, "keys") => m.Keys.Select(k => (object?)k).ToList(),
            (Dictionary<string, object?> m, "values") => m.Values.ToList(),
            (Dictionary<string, object?> m, "get") => m.TryGetValue(First(""), out object? found) ? found : arguments.ElementAtOrDefault(1),
            (List<object?> l, "append") => Append(l, arguments[0]),
            _ => throw new TemplateException($"The chat template calls the unknown method '{name}'."),
        };
    }

    public static object? Filter(string name, object? value, object?[] arguments, Dictionary<string, object?> named) => name switch
    {
        "trim" => Values.Text(value).Trim(),
        "upper" => Values.Text(value).ToUpperInvariant(),
        "lower" => Values.Text(value).ToLowerInvariant(),
        "capitalize" => Values.Text(value) is { Length: > 0 } s ? char.ToUpperInvariant(s[0]) + s[1..].ToLowerInvariant() : "",
        "length" or "count" => value is string t ? (long)t.Length : Values.Items(value).Count,
        "first" => Values.Items(value) is { Count: > 0 } l ? l[0] : Undefined.Value,
        "last" => Values.Items(value) is { Count: > 0 } l ? l[^1] : Undefined.Value,
        "list" => Values.Items(value).ToList(),
        "reverse" => value is string r ? string.Concat(r.Reverse()) : Enumerable.Reverse(Values.Items(value)).ToList(),
        "join" => Join(arguments.Length > 0 ? Values.Text(arguments[0]) : "", Values.Items(value)),
        "tojson" => TemplateJson.Json(value, (named.GetValueOrDefault("indent") ?? arguments.FirstOrDefault()) is long n ? (int)n : null),
        "string" => Values.Text(value),
        "int" => value is string digits ? long.TryParse(digits, CultureInfo.InvariantCulture, out long parsed) ? parsed : 0L : (long)Values.Number(value),
        "safe" => value,
        "default" or "d" => value is Undefined || (arguments.Length > 1 && Values.Truth(arguments[1]) && !Values.Truth(value)) ? arguments.ElementAtOrDefault(0) ?? "" : value,
        "replace" => Replace(Values.Text(value), Values.Text(arguments[0]), Values.Text(arguments[1])),
        "items" => value is Dictionary<string, object?> m ? Pairs(m) : [],
        "dictsort" => value is Dictionary<string, object?> m ? Pairs(m).OrderBy(p => Values.Text(((List<object?>)p!)[0]), StringComparer.OrdinalIgnoreCase).ToList() : [],
        "map" => Map(value, arguments, named),
        "selectattr" => Select(value, arguments, true),
        "rejectattr" => Select(value, arguments, false),
        "select" => Values.Items(value).Where(i => Test(Values.Text(arguments[0]), i, arguments.ElementAtOrDefault(1))).ToList(),
        "reject" => Values.Items(value).Where(i => !Test(Values.Text(arguments[0]), i, arguments.ElementAtOrDefault(1))).ToList(),
        "unique" => Unique(Values.Items(value)),
        "indent" => Replace(Values.Text(value), "\n", "\n" + new string(' ', arguments.FirstOrDefault() is long w ? (int)Math.Clamp(w, 0, 1000) : 4)),
        _ => throw new TemplateException($"The chat template uses the unknown filter '{name}'."),
    };

    public static bool Test(string name, object? value, object? argument) => name switch
    {
        "defined" => value is not Undefined,
        "undefined" => value is Undefined,
        "none" => value is null,
        "string" => value is string,
        "number" => value is long or double,
        "integer" => value is long,
        "float" => value is double,
        "boolean" => value is bool,
        "true" => value is true,
        "false" => value is false,
        "mapping" => value is Dictionary<string, object?> or Namespace,
        "iterable" or "sequence" => value is string or List<object?> or Dictionary<string, object?>,
        "even" => Values.Number(value) % 2 == 0,
        "odd" => Values.Number(value) % 2 != 0,
        "equalto" or "eq" or "==" => Values.Same(value, argument),
        "ne" or "!=" => !Values.Same(value, argument),
        "in" => Values.Contains(argument, value),
        _ => throw new TemplateException($"The chat template uses the unknown test '{name}'."),
    };

    private static List<object?> Unique(List<object?> items)
    {
        if (items.Count > MostUnique)
        {
            throw Values.TooLong();
        }

        List<object?> kept = [];
        foreach (object? item in items.Where(item => !kept.Any(k => Values.Same(k, item))))
        {
            kept.Add(item);
        }

        return kept;
    }

    /// <summary>Replaces as Python does, within the bound on texts.</summary>
    private static string Replace(string text, string old, string next)
    {
        StringBuilder result = new();
        string[] parts = old.Length == 0 ? throw new TemplateException("The chat template replaces an empty text.") : text.Split(old);
        foreach ((int i, string part) in parts.Index())
        {
            Append(result, i == 0 ? "" : next);
            Append(result, part);
        }

        return result.ToString();
    }

    private static string Join(string between, List<object?> items)
    {
        StringBuilder result = new();
        foreach ((int i, object? item) in items.Index())
        {
            Append(result, i == 0 ? "" : between);
            Append(result, Values.Text(item));
        }

        return result.ToString();
    }

    private static void Append(StringBuilder text, string more)
    {
        if (text.Length + more.Length > Values.LongestText)
        {
            throw Values.TooLong();
        }

        text.Append(more);
    }

    private static List<object?> Range(object?[] arguments)
    {
        long[] n = [.. arguments.Select(a => (long)Values.Number(a))];
        (long from, long to, long step) = n.Length switch { 1 => (0L, n[0], 1L), 2 => (n[0], n[1], 1L), _ => (n[0], n[1], n[2]) };
        if (step == 0 || (to - from) / step > MostRange)
        {
            throw new TemplateException("The chat template's range is too long.");
        }

        List<object?> items = [];
        for (long i = from; step > 0 ? i < to : i > to; i += step)
        {
            items.Add(i);
        }

        return items;
    }

    private static List<object?> Split(string text, object?[] arguments)
    {
        if (arguments.Length == 0 || arguments[0] is not string separator)
        {
            return [.. text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)];
        }

        int most = arguments.ElementAtOrDefault(1) is long n && n >= 0 ? (int)n + 1 : int.MaxValue;
        return [.. text.Split(separator, most)];
    }

    private static List<object?> Pairs(Dictionary<string, object?> map) => [.. map.Select(p => (object?)new List<object?> { p.Key, p.Value })];

    private static object? Append(List<object?> list, object? item)
    {
        list.Add(item);
        return null;
    }

    private static List<object?> Map(object? value, object?[] arguments, Dictionary<string, object?> named) =>
        named.TryGetValue("attribute", out object? attribute)
            ? [.. Values.Items(value).Select(i => Values.Item(i, attribute))]
            : [.. Values.Items(value).Select(i => Filter(Values.Text(arguments[0]), i, arguments[1..], []))];

    private static List<object?> Select(object? value, object?[] arguments, bool wanted) => [.. Values.Items(value).Where(i =>
    {
        object? field = Values.Item(i, arguments[0]);
        return (arguments.Length == 1 ? Values.Truth(field) : Test(Values.Text(arguments[1]), field, arguments.ElementAtOrDefault(2))) == wanted;
    })];
}
