using FlowMM.Engine.Offline;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model.Layers;

/// <summary>A pass that attends for many sequences together, against each sequence's own: any lengths, merged and not, whatever lies behind the entries.</summary>
public sealed class BatchedAttentionTests : IDisposable
{
    private const int Steps = 4;

    /// <summary>Logits lie around 10: sums in another order move them by some units of f32's last place, through five layers.</summary>
    private const float Tolerance = 5e-4f;

    private static readonly Scalar NotANumber = float.NaN;

    private readonly ChatModel _together = Load(true);
    private readonly ChatModel _alone = Load(false);
    private readonly SessionCompressor _compressor = new();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Forward_RandomSequences_AgreesWithEachAlone(int seed)
    {
        Assert.Equal((true, false, false), (_together.DecodesTogether, _together.RowsAreIndependent, _alone.DecodesTogether));
        Random random = new(seed);
        using DisposeScope scope = NewDisposeScope();
        OfflineSession[] sessions = [.. Enumerable.Range(0, random.Next(2, 10)).Select(_ => Session(random))];
        OfflineSession[] copies = [.. sessions.Select(s => s.Fork())];
        int[] tokens = [.. sessions.Select(_ => random.Next(100, 1000))];
        for (int step = 0; step < Steps; step++)
        {
            Array.ForEach(sessions, Spoil);
            Tensor logits = _together.Forward([.. sessions.Select((s, i) => Chunk(s, tokens[i]))]); // [B, V]
            Tensor expected = cat([.. copies.Select((s, i) => _alone.Forward([Chunk(s, tokens[i])]))]);
            Assert.InRange((logits - expected).abs().max().item<float>(), 0, Tolerance);
            (Tensor best, Tensor ids) = expected.topk(2, 1);
            for (int row = 0; row < sessions.Length; row++)
            {
                tokens[row] = (int)ids[row, 0].item<long>();
                bool near = (best[row, 0] - best[row, 1]).item<float>() < 2 * Tolerance;
                Assert.True(near || logits[row].argmax().item<long>() == tokens[row]);
            }
        }

        Array.ForEach([.. sessions, .. copies], s => s.Dispose());
    }

    public void Dispose()
    {
        _together.Dispose();
        _alone.Dispose();
        _compressor.Dispose();
    }

    private static ChatModel Load(bool together) => ChatModel.Load(
        TinyModel.Directory, new LoadSettings { Kernels = new KernelOptions { Enabled = false }, Together = together });

    private static SequenceChunk Chunk(OfflineSession session, int token) => new() { Cache = session.Cache, TokenIds = new[] { token } };

    /// <summary>What a slot held before, or memory that nothing was written to.</summary>
    private static void Spoil(OfflineSession session)
    {
        foreach (LayerCache layer in session.Cache.Layers)
        {
            layer.EnsureCapacity(layer.Length + 1);
            (Tensor keys, Tensor values, Tensor beta) = layer.Reserved(layer.Capacity);
            Array.ForEach([keys, values, beta], t => t.narrow(1, layer.Length, layer.Capacity - layer.Length).fill_(NotANumber));
        }
    }

    private OfflineSession Session(Random random)
    {
        OfflineSession session = OfflineSession.Start(_alone);
        MergingPlanOptions options = new() { Method = random.Next(2) == 0 ? "full" : "flowmm", Ratio = 0.3 };
        int[] ids = [.. Enumerable.Range(0, random.Next(1, 3) == 1 ? random.Next(1, 40) : random.Next(150, 400)).Select(_ => random.Next(100, 1000))];
        new OfflineMerging(new OfflineRunner(_alone), _compressor, options).Read(new OfflineInput { Session = session, Ids = ids });
        return session;
    }
}
