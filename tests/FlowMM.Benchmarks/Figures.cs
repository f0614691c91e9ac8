using System.Text.Json;

namespace FlowMM.Benchmarks;

/// <summary>Medians, and where figures are written.</summary>
internal static class Figures
{
    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>The middle of the sorted values, or the mean of the middle two.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>Writes figures as JSON when a file is named.</summary>
    public static void Write(string? file, object figures)
    {
        if (file is not null)
        {
            File.WriteAllText(file, JsonSerializer.Serialize(figures, Format));
        }
    }
}
