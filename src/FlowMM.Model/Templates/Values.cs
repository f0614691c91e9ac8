using System.Collections;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace FlowMM.Model.Templates;

/// <summary>A value that was never set: false, empty, and an error when something is read from it.</summary>
internal sealed class Undefined
{
    public static readonly Undefined Value = new();
}

/// <summary>
/// Values of templates and what operators do to them. null (none), <see cref="Undefined"/>, bool, long, double, string,
/// List of object, Dictionary by string, <see cref="Namespace"/>.
/// </summary>
internal static class Values
{
    /// <summary>Bound on a text or list that a template builds: doubling one thirty times must not take a gigabyte.</summary>
    public const int LongestText = 16 << 20;
    private const int MostCompared = 1 << 20;

    public static string Joined(string a, string b) => a.Length + b.Length <= LongestText ? a + b : throw TooLong();

    public static TemplateException TooLong() => new($"The chat template builds a value longer than {LongestText}.");

    public static bool Truth(object? value) => value switch
    {
        null or Undefined => false,
        bool b => b,
        long n => n != 0,
        double d => d != 0,
        string s => s.Length > 0,
        ICollection c => c.Count > 0,
        _ => true,
    };

    public static string Text(object? value) => value switch
    {
        null => "None",
        Undefined => "",
        bool b => b ? "True" : "False",
        string s => s,
        double d => d.ToString("R", CultureInfo.InvariantCulture) is string t && t.Contains('.', StringComparison.Ordinal) ? t : $"{d:F1}",
        IFormattable f => f.ToString(null, CultureInfo.InvariantCulture),
        List<object?> or Dictionary<string, object?> => TemplateJson.Python(value),
        _ => throw new TemplateException("The chat template prints what is no text."),
    };

    public static bool Same(object? a, object? b)
    {
        int left = MostCompared;
        return Same(a, b, ref left);
    }

    private static bool Same(object? a, object? b, ref int left)
    {
        // A list may hold itself, or another one many times over.
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (--left < 0)
        {
            throw TooLong();
        }

        if (a is List<object?> x && b is List<object?> y)
        {
            bool same = x.Count == y.Count;
            for (int i = 0; same && i < x.Count; i++)
            {
                same = Same(x[i], y[i], ref left);
            }

            return same;
        }

        return (a, b) switch
        {
            (long or double, long or double) => Number(a) == Number(b),
            (Undefined or null, _) or (_, Undefined or null) => ReferenceEquals(a, b),
            _ => a.Equals(b),
        };
    }

    public static int Compare(object? a, object? b) => a is string x && b is string y
        ? string.CompareOrdinal(x, y)
        : Number(a).CompareTo(Number(b));

    public static bool Contains(object? container, object? item) => container switch
    {
        string s => item is string part && s.Contains(part, StringComparison.Ordinal),
        List<object?> list => list.Any(i => Same(i, item)),
        Dictionary<string, object?> map => item is string key && map.ContainsKey(key),
        Undefined or null => false,
        _ => throw new TemplateException("The chat template looks for an item in what has none."),
    };

    public static object? Item(object? target, object? key) => (target, key) switch
    {
        (Dictionary<string, object?> map, string name) => map.TryGetValue(name, out object? found) ? found : Undefined.Value,
        (List<object?> list, long index) => At(list.Count, index) is int i ? list[i] : Undefined.Value,
        (string text, long index) => At(text.Length, index) is int i ? text[i].ToString() : Undefined.Value,
        (Undefined or null, _) => throw new TemplateException($"The chat template reads '{key}' of what is not there."),
        _ => Undefined.Value,
    };

    public static object? Slice(object? target, long? from, long? to, long step)
    {
        if (step == 0)
        {
            throw new TemplateException("The chat template slices with a step of 0.");
        }

        List<object?> items = target is string text ? [.. text.Select(c => (object?)c.ToString())] : Items(target);
        long count = items.Count, low = step > 0 ? 0 : -1, high = step > 0 ? count : count - 1;
        long Clamp(long? at, long otherwise) => at is not long i ? otherwise : Math.Clamp(i < 0 ? i + count : i, low, high);
        List<object?> cut = [];
        long end = Clamp(to, step > 0 ? count : -1);
        for (long i = Clamp(from, step > 0 ? 0 : count - 1); step > 0 ? i < end : i > end; i += step)
        {
            cut.Add(items[(int)i]);
        }

        return target is string ? string.Concat(cut) : cut;
    }

    public static object Arithmetic(string sign, object? a, object? b)
    {
        if (sign == "+" && a is string || b is string)
        {
            return sign == "+" && a is string x && b is string y ? Joined(x, y) : throw new TemplateException("The chat template adds text to what is none.");
        }

        if (sign == "+" && a is List<object?> first && b is List<object?> second)
        {
            return first.Count + second.Count <= LongestText ? first.Concat(second).ToList() : throw TooLong();
        }

        if (a is long m && b is long n && sign != "/")
        {
            return sign switch
            {
                "+" => m + n,
                "-" => m - n,
                "*" => m * n,
                "//" when n != 0 => (long)Math.Floor((double)m / n),
                "%" when n != 0 => ((m % n) + n) % n,
                _ => throw new TemplateException($"The chat template cannot compute {m} {sign} {n}."),
            };
        }

        return sign switch
        {
            "+" => Number(a) + Number(b),
            "-" => Number(a) - Number(b),
            "*" => Number(a) * Number(b),
            "/" => Number(a) / Number(b),
            _ => throw new TemplateException($"The chat template uses the operator '{sign}' on fractions."),
        };
    }

    public static double Number(object? value) => value switch
    {
        long n => n,
        double d => d,
        bool b => b ? 1 : 0,
        _ => throw new TemplateException("The chat template computes with what is no number."),
    };

    /// <summary>What a loop walks over; a map gives its keys.</summary>
    public static List<object?> Items(object? value) => value switch
    {
        List<object?> list => list,
        Dictionary<string, object?> map => [.. map.Keys],
        string text => [.. text.Select(c => (object?)c.ToString())],
        Undefined => [],
        _ => throw new TemplateException("The chat template loops over what is no list."),
    };

    private static int? At(int count, long index)
    {
        long i = index < 0 ? index + count : index;
        return i >= 0 && i < count ? (int)i : null;
    }
}

/// <summary>Jinja's namespace(): the one object whose fields a loop's body may change.</summary>
internal sealed class Namespace : Dictionary<string, object?>;
