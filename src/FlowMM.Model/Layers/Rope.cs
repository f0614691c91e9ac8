using FlowMM.Model.Configuration;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>
/// Rotary position embedding (arXiv 2104.09864) in the half-split form: dimension i turns with i + D/2. Angles are f32: position times
/// inverse frequency, as the reference computes them. The tables grow with the longest position asked for.
/// </summary>
internal sealed class Rope(RopeConfig config, int headDim, Device device, ScalarType dtype) : IDisposable
{
    private Tensor? _cos;
    private Tensor? _sin;

    /// <summary>cos and sin of positions start .. start + length, views [length, D]; the caller's scope disposes them.</summary>
    public (Tensor Cos, Tensor Sin) At(int start, int length)
    {
        if (_cos is null || _cos.shape[0] < start + length)
        {
            Grow(Math.Max(256, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(start + length))));
        }

        return (_cos!.narrow(0, start, length), _sin!.narrow(0, start, length));
    }

    /// <summary>x [heads, T, D] turned by the rows of <paramref name="cos"/> and <paramref name="sin"/> [T, D].</summary>
    public static Tensor Apply(Tensor x, Tensor cos, Tensor sin)
    {
        Tensor[] halves = x.chunk(2, -1);
        return (x * cos).add_(cat([halves[1].neg(), halves[0]], -1).mul_(sin)); // [heads, T, D]
    }

    public void Dispose()
    {
        _cos?.Dispose();
        _sin?.Dispose();
    }

    /// <summary>Inverse frequencies, f32, D/2 of them; llama3's blend as in FACTS: short waves kept, long ones divided, linear between.</summary>
    internal static float[] Frequencies(RopeConfig config, int headDim) => [.. Enumerable.Range(0, headDim / 2).Select(i =>
    {
        float frequency = 1f / (float)Math.Pow(config.Theta, 2.0 * i / headDim);
        if (config.Type == "linear")
        {
            return frequency / (float)config.Factor;
        }

        if (config.Type != "llama3")
        {
            return frequency;
        }

        double wave = 2 * Math.PI / frequency;
        double blend = Math.Clamp(
            ((config.OriginalPositions / wave) - config.LowFrequency) / (config.HighFrequency - config.LowFrequency), 0, 1);
        return (float)(((1 - blend) * frequency / config.Factor) + (blend * frequency));
    })];

    private void Grow(int positions)
    {
        using var scope = NewDisposeScope();
        Tensor angles = outer(arange(positions, float32), tensor(Frequencies(config, headDim))); // [P, D/2]
        Tensor both = cat([angles, angles], -1); // [P, D]
        Dispose();
        _cos = both.cos().to(dtype, device).DetachFromDisposeScope();
        _sin = both.sin().to(dtype, device).DetachFromDisposeScope();
    }
}
