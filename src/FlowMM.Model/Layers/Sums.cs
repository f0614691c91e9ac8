using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>
/// Sums that are safe while garbage is collected. TorchSharp's own add, add_ and + make a Scalar for their factor of 1 that nothing holds:
/// its finaliser may free it while native code reads it, and the pass fails (about once in 6,000 calls under constant collection).
/// </summary>
internal static class Sums
{
    public static readonly Scalar One = 1;

    /// <summary>x + y.</summary>
    public static Tensor Plus(this Tensor x, Tensor y) => x.add(y, One);

    /// <summary>x + y, in x.</summary>
    public static Tensor Increase(this Tensor x, Tensor y) => x.add_(y, One);

    /// <summary>x + y, in x; the caller holds y.</summary>
    public static Tensor Increase(this Tensor x, Scalar y) => x.add_(y, One);
}
