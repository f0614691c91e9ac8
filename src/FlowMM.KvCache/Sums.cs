using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// Sums that are safe while garbage is collected. TorchSharp's own add, add_ and + make a Scalar for their factor of 1 that nothing holds:
/// its finaliser may free it while native code reads it, and the call fails (about once in 6,000 calls under constant collection).
/// Any other Scalar that a call is given must be held for the same reason: by a field, or by <c>using</c>.
/// </summary>
public static class Sums
{
    /// <summary>1, held.</summary>
    public static readonly Scalar One = 1;

    /// <summary>x * x; TorchSharp's square is a power with such a Scalar.</summary>
    /// <param name="x">Any tensor.</param>
    /// <returns>A new tensor in the current dispose scope.</returns>
    public static Tensor Squared(this Tensor x) => x.mul(x);

    /// <summary>x + y.</summary>
    /// <param name="x">One term.</param>
    /// <param name="y">The other.</param>
    /// <returns>A new tensor in the current dispose scope.</returns>
    public static Tensor Plus(this Tensor x, Tensor y) => x.add(y, One);

    /// <summary>x + y, in x.</summary>
    /// <param name="x">Changed.</param>
    /// <param name="y">What is added.</param>
    /// <returns><paramref name="x"/>'s storage.</returns>
    public static Tensor Increase(this Tensor x, Tensor y) => x.add_(y, One);

    /// <summary>x + y, in x.</summary>
    /// <param name="x">Changed.</param>
    /// <param name="y">What is added; the caller holds it.</param>
    /// <returns><paramref name="x"/>'s storage.</returns>
    public static Tensor Increase(this Tensor x, Scalar y) => x.add_(y, One);
}
