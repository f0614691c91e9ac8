using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>Compares tensors and keeps the largest deviation, which the log shows.</summary>
internal static class Closeness
{
    /// <summary>Absolute and relative: about five to ten times the distance of f32 from f64; a wrong epsilon, activation or position shows as 1e-2.</summary>
    public const double Tolerance = 1e-4;

    /// <summary>Fails where |actual - expected| exceeds atol + rtol |expected|.</summary>
    public static double Check(string what, Tensor expected, Tensor actual, double tolerance = Tolerance)
    {
        Assert.Equal(expected.shape, actual.shape);
        Tensor difference = (actual.to(float64) - expected.to(float64)).abs();
        double excess = (difference - ((expected.to(float64).abs() * tolerance) + tolerance)).max().item<double>();
        double largest = difference.max().item<double>();
        Assert.True(excess <= 0, $"{what} deviates by {largest:E2}");
        return largest;
    }
}
