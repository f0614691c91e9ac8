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
    // A Scalar that only the call sees may be finalised while native code reads it.
    private readonly Scalar _attention = (float)config.Attention;
    private Tensor? _cos;
    private Tensor? _sin;

    /// <summary>True when positions follow the rows and columns of pictures.</summary>
    public bool FollowsPictures => config.Sections is not null;

    /// <summary>Cosines and sines (first half negated) of consecutive positions, views [length, 1, D]; the caller's scope disposes them.</summary>
    public (Tensor Cos, Tensor Sin) Run(int start, int length)
    {
        Reach(start + length);
        return (_cos!.narrow(0, start, length), _sin!.narrow(0, start, length));
    }

    /// <summary>Cosines and sines (first half negated) of any positions, [R, 1, D]; the caller's scope disposes them.</summary>
    public (Tensor Cos, Tensor Sin) At(RotaryPositions positions)
    {
        int[][] axes = positions.Differ ? positions.Axes : [positions.Time];
        Reach(axes.Max(a => a.Max()) + 1);
        Tensor[] indices = [.. axes.Select(a => tensor(a, device: device))];
        return (Select(_cos!, indices), Select(_sin!, indices));
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
        Tensor angles = Angles(rows).unsqueeze(1); // [P, 1, D/2]
        (Tensor cosines, Tensor sines) = (angles.cos().mul_(_attention), angles.sin().mul_(_attention));
        Dispose();
        _cos = cat([cosines, cosines], -1).to(dtype, device).DetachFromDisposeScope(); // [P, 1, D]
        _sin = cat([sines.neg(), sines], -1).to(dtype, device).DetachFromDisposeScope();
    }

    public void Dispose()
    {
        _cos?.Dispose();
        _sin?.Dispose();
    }

    /// <summary>Rows of a table; with several axes each takes its own sections of both halves of the dimensions. [R, 1, D].</summary>
    private Tensor Select(Tensor table, Tensor[] indices)
    {
        if (indices.Length == 1)
        {
            return table.index_select(0, indices[0]);
        }

        List<Tensor> parts = [];
        for (int half = 0; half < 2; half++)
        {
            long start = half * headDim / 2;
            for (int axis = 0; axis < indices.Length; axis++)
            {
                int width = config.Sections![axis];
                parts.Add(table.narrow(-1, start, width).index_select(0, indices[axis])); // [R, 1, section]
                start += width;
            }
        }

        return cat(parts, -1);
    }

    /// <summary>Angles of the first positions, f32 [P, D/2].</summary>
    private Tensor Angles(int rows)
    {
        Tensor frequencies = tensor(RopeFrequencies.Of(config, headDim)); // [D/2]
        Tensor angles = outer(tensor([.. Enumerable.Range(0, rows).Select(p => (float)p)]), frequencies); // [P, D/2]
        if (config.Type != "dynamic" || rows <= config.OriginalPositions)
        {
            return angles;
        }

        int trained = (int)config.OriginalPositions;
        float[][] beyond = [.. Enumerable.Range(trained, rows - trained).Select(p =>
            RopeFrequencies.Dynamic(config, headDim, p + 1).Select(f => f * p).ToArray())];
        return cat([angles.narrow(0, 0, trained), tensor([.. beyond.SelectMany(r => r)], [rows - trained, headDim / 2])]);
    }
}
