using FlowMM.KvCache;
using FlowMM.Model.Configuration;
using TorchSharp;
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

    /// <summary>Cosines and sines (first half negated) of consecutive positions, views [length, 1, D]; the caller's scope disposes them.</summary>
    public (Tensor Cos, Tensor Sin) Run(int start, int length)
    {
        Reach(start + length);
        return (_cos!.narrow(0, start, length), _sin!.narrow(0, start, length));
    }

    /// <summary>Cosines and sines (first half negated) of any positions, [R, 1, D]; the caller's scope disposes them.</summary>
    public (Tensor Cos, Tensor Sin) At(int[] positions)
    {
        Reach(positions.Max() + 1);
        Tensor index = tensor(positions, device: device);
        return (_cos!.index_select(0, index), _sin!.index_select(0, index));
    }

    /// <summary>x [R, heads, D] turned: x cos + (x2, x1) sin, where the sign that the first half needs is in the sines.</summary>
    public static Tensor Apply(Tensor x, Tensor cos, Tensor sin) =>
        (x * cos).addcmul_(x.roll(x.shape[2] / 2, -1), sin, Sums.One); // [R, heads, D]

    /// <summary>Makes the angles of positions below <paramref name="positions"/>, if they are not there yet.</summary>
    public void Reach(int positions)
    {
        if (_cos is not null && _cos.shape[0] >= positions)
        {
            return;
        }

        using DisposeScope scope = NewDisposeScope();
        int rows = Math.Max(256, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)positions));
        Tensor positionsOf = tensor([.. Enumerable.Range(0, rows).Select(p => (float)p)]); // [P]
        Tensor angles = outer(positionsOf, tensor(Frequencies(config, headDim))).unsqueeze(1); // [P, 1, D/2]
        (Tensor cosines, Tensor sines) = (angles.cos(), angles.sin());
        Dispose();
        _cos = cat([cosines, cosines], -1).to(dtype, device).DetachFromDisposeScope(); // [P, 1, D]
        _sin = cat([sines.neg(), sines], -1).to(dtype, device).DetachFromDisposeScope();
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
}
