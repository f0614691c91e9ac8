using FlowMM.Model.Kernels;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>The rows of the vocabulary, and the head that scores against them when it is tied.</summary>
internal sealed class Embedding : IDisposable
{
    private readonly Tensor? _weight;

    public Embedding(WeightSource source, CpuCompute? compute, string name, int vocabulary, int width)
    {
        if (compute is null)
        {
            _weight = source.Read(name, vocabulary, width); // [V, C]
        }
        else
        {
            Packed = PackedLinear.Pack(compute, source.Rows([(name, vocabulary)], width));
        }
    }

    /// <summary>The kernels' form; null when the tensor library computes.</summary>
    public PackedMatrix? Packed { get; }

    /// <summary>Bytes of the matrix.</summary>
    public long Bytes => Packed?.Bytes ?? (_weight!.numel() * _weight.ElementSize);

    /// <summary>ids [R] -> [R, C].</summary>
    public unsafe Tensor Rows(int[] ids, Device device)
    {
        if (Packed is null)
        {
            return _weight!.index_select(0, tensor(ids, int64, device));
        }

        Tensor rows = empty([ids.Length, Packed.Inputs]); // [R, C]
        float* to = TensorMemory.Floats(rows);
        Parallel.For(0, ids.Length, i => Packed.Row(ids[i], to + ((long)i * Packed.Inputs)));
        return rows;
    }

    /// <summary>x [n, C] -> scores [n, V] f32.</summary>
    public unsafe Tensor Scores(Tensor x, CpuCompute? compute)
    {
        if (Packed is null)
        {
            return nn.functional.linear(x, _weight!).to(float32);
        }

        int rows = (int)x.shape[0];
        Tensor scores = empty([rows, Packed.Rows]); // [n, V]
        compute!.Multiply(new Product
        {
            Matrix = Packed,
            X = TensorMemory.Floats(x),
            XStride = Packed.Inputs,
            Rows = rows,
            Y = TensorMemory.Floats(scores),
            YStride = Packed.Rows,
            Start = ProductStart.Zero,
        });
        return scores;
    }

    public void Dispose()
    {
        _weight?.Dispose();
        Packed?.Dispose();
    }
}
