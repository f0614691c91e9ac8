using System.Numerics;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Weights;

/// <summary>Floating-point numbers of the files' types to f32.</summary>
internal static unsafe class Widening
{
    /// <summary>Exact, but for f64, which is rounded to nearest.</summary>
    /// <param name="type">Float64, Float32, Float16 or BFloat16.</param>
    /// <param name="from">Little-endian, of any alignment.</param>
    /// <param name="to">As many values.</param>
    /// <exception cref="ArgumentException">The type is another.</exception>
    public static void ToFloat(ScalarType type, byte* from, Span<float> to)
    {
        switch (type)
        {
            case ScalarType.Float32:
                new ReadOnlySpan<float>(from, to.Length).CopyTo(to);
                break;
            case ScalarType.BFloat16:
                BFloat16(new ReadOnlySpan<ushort>(from, to.Length), to);
                break;
            case ScalarType.Float16:
                Convert(new ReadOnlySpan<Half>(from, to.Length), to);
                break;
            case ScalarType.Float64:
                Convert(new ReadOnlySpan<double>(from, to.Length), to);
                break;
            default:
                throw new ArgumentException($"{type} is no floating-point type of a weight.", nameof(type));
        }
    }

    /// <summary>They are the upper halves of f32.</summary>
    private static void BFloat16(ReadOnlySpan<ushort> from, Span<float> to)
    {
        int done = 0;
        for (; done + Vector<ushort>.Count <= from.Length; done += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(from[done..]), out Vector<uint> low, out Vector<uint> high);
            Vector.AsVectorSingle(low << 16).CopyTo(to[done..]);
            Vector.AsVectorSingle(high << 16).CopyTo(to[(done + Vector<uint>.Count)..]);
        }

        for (; done < from.Length; done++)
        {
            to[done] = BitConverter.UInt32BitsToSingle((uint)from[done] << 16);
        }
    }

    private static void Convert<T>(ReadOnlySpan<T> from, Span<float> to)
        where T : INumberBase<T>
    {
        for (int i = 0; i < from.Length; i++)
        {
            to[i] = float.CreateTruncating(from[i]);
        }
    }
}
