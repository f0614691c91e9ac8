using FlowMM.Model.Configuration;
using FlowMM.Model.Kernels;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Layers;

/// <summary>down(silu(gate x) * up x). The tensor library computes gate and up as one product, the kernels gate them as they come.</summary>
internal sealed class GatedMlp : IDisposable
{
    private readonly CpuCompute? _compute;
    private readonly int _width;
    private readonly Linear? _gateUp;

    public GatedMlp(WeightSource source, CpuCompute? compute, string name, DecoderConfig config)
    {
        (_compute, _width) = (compute, config.MlpWidth);
        Down = new(source, name + "down_proj", config.MlpWidth, config.Width, config.MlpBias, compute);
        if (compute is null)
        {
            _gateUp = Linear.Stack(source, null, config.Width, config.MlpBias, (name + "gate_proj", _width), (name + "up_proj", _width));
            return;
        }

        Gate = PackedLinear.Read(source, compute, name + "gate_proj", config.Width, _width, config.MlpBias);
        Up = PackedLinear.Read(source, compute, name + "up_proj", config.Width, _width, config.MlpBias);
    }

    /// <summary>Null when the tensor library computes.</summary>
    public PackedLinear? Gate { get; }

    /// <summary>Null when the tensor library computes.</summary>
    public PackedLinear? Up { get; }

    public Linear Down { get; }

    /// <summary>Bytes of the matrices.</summary>
    public long Bytes => Down.Bytes + (_gateUp?.Bytes ?? Gate!.Matrix.Bytes + Up!.Matrix.Bytes);

    /// <summary>x [R, C] -> [R, C].</summary>
    public Tensor Forward(Tensor x)
    {
        if (_compute is not null)
        {
            return Down.Forward(Gated(x));
        }

        Tensor both = _gateUp!.Forward(x); // [R, 2 M]
        Tensor gate = both.narrow(1, 0, _width), up = both.narrow(1, _width, _width); // [R, M]
        return Down.Forward(nn.functional.silu(gate).mul_(up)); // [R, C]
    }

    public void Dispose()
    {
        foreach (IDisposable? part in (IDisposable?[])[_gateUp, Gate, Up, Down])
        {
            part?.Dispose();
        }
    }

    private unsafe Tensor Gated(Tensor x)
    {
        int rows = (int)x.shape[0];
        Tensor gated = empty([rows, _width]); // [R, M]
        float* from = TensorMemory.Floats(x);
        float* to = TensorMemory.Floats(gated);
        _compute!.GateUp(Gate!.Of(from, Gate.Matrix.Inputs, rows, to, _width), Up!.Of(from, Up.Matrix.Inputs, rows, to, _width));
        return gated;
    }
}
