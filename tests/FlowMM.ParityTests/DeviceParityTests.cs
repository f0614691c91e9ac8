using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Model.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>
/// The way to compute away from the CPU's kernels, on two devices of the CPU: layers split, and decoding steps of sequences of several lengths together. Tolerance: see <see cref="Closeness"/>.
/// </summary>
public sealed class DeviceParityTests
{
    public static TheoryData<GoldenCase> Cases => [.. Goldens.Cases()];

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void Decode_SplitAndTogether_EqualsReference(GoldenCase golden)
    {
        using ChatModel model = ChatModel.Load(golden.ModelFolder, new LoadSettings
        {
            Devices = [device("cpu:0"), device("cpu:1")],
            Kernels = new KernelOptions { Enabled = false },
            Together = true,
        });
        using DisposeScope scope = NewDisposeScope();
        using SafeTensorsFile tensors = golden.Tensors();
        using SessionCache cache = model.NewCache(), same = model.NewCache(), other = model.NewCache();
        Assert.NotEqual(model.LayerDevices[0].index, model.LayerDevices[^1].index);
        Tensor prefill = model.Forward([golden.Chunk(model, cache, 0, int.MaxValue)]);
        model.Forward([golden.Chunk(model, same, 0, int.MaxValue)]);
        model.Forward([new() { Cache = other, TokenIds = golden.GreedyIds }]);
        List<Tensor> logits = [prefill];
        foreach (int id in golden.GreedyIds.SkipLast(1))
        {
            Tensor step = model.Forward([.. new[] { other, cache, same }.Select(c => new SequenceChunk { Cache = c, TokenIds = new[] { id } })]); // [3, V]
            Closeness.Check("a sequence's twin", step.narrow(0, 2, 1), step.narrow(0, 1, 1));
            logits.Add(step.narrow(0, 1, 1));
        }

        Closeness.Check("greedy.logits", tensors.Read("greedy.logits"), cat(logits));
    }
}
