using System.Globalization;
using System.Text.RegularExpressions;

namespace FlowMM.Cli.Inspect;

/// <summary>Sizes of memory as people write them.</summary>
internal static partial class ByteSize
{
    /// <summary>Bytes of a text such as <c>24GiB</c>, <c>80 GB</c> or <c>512MiB</c>; null when it is none.</summary>
    public static long? Parse(string? text)
    {
        Match match = Size().Match(text ?? "");
        if (!match.Success)
        {
            return null;
        }

        double unit = match.Groups[3].Success ? 1024 : 1000;
        int power = match.Groups[2].Success ? "KMGT".IndexOf(match.Groups[2].Value.ToUpperInvariant(), StringComparison.Ordinal) + 1 : 0;
        double bytes = double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) * Math.Pow(unit, power);
        return bytes is >= 1 and < 1e18 ? (long)bytes : null;
    }

    /// <summary>The size in the binary unit that leaves a short number.</summary>
    public static string Text(long bytes) => bytes switch
    {
        >= 1L << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):0.00} GiB"),
        >= 1L << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):0.0} MiB"),
        >= 1L << 10 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 10):0.0} KiB"),
        _ => $"{bytes} B",
    };

    [GeneratedRegex(@"^\s*(\d{1,12}(?:\.\d{1,6})?)\s*(?:([KMGT])(i)?)?B?\s*$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Size();
}
