using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Model.Kernels;
using FlowMM.UnitTests.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model;

public sealed class KernelForwardTests
{
    private static readonly int[] Prompt = [1, 271, 202, 40, 41, 42, 43, 44, 45];

    public static TheoryData<WeightType> Types => [.. Enum.GetValues<WeightType>()];

    [Theory]
    [MemberData(nameof(Types))]
    public void Forward_InRandomBatches_GivesTheSameBitsAsAlone(WeightType type)
    {
        using ChatModel model = Load(new KernelOptions { Weights = type, Threads = 3 });
        using DisposeScope scope = NewDisposeScope();
        Random random = new(7);
        SessionCache[] together = [.. Enumerable.Range(0, 6).Select(_ => model.NewCache())], alone = [.. together.Select(_ => model.NewCache())];
        for (int step = 0; step < 24; step++)
        {
            int[] members = [.. Enumerable.Range(0, together.Length).Where(_ => random.Next(3) > 0)];
            int[][] ids = [.. members.Select(_ => Enumerable.Range(0, random.Next(4) == 0 ? random.Next(2, 40) : 1).Select(_ => random.Next(model.Vocabulary)).ToArray())];
            if (members.Length == 0)
            {
                continue;
            }

            Tensor batch = model.Forward([.. members.Select((m, i) => new SequenceChunk { Cache = together[m], TokenIds = ids[i] })]);
            for (int i = 0; i < members.Length; i++)
            {
                Tensor one = model.Forward([new() { Cache = alone[members[i]], TokenIds = ids[i] }]);
                Assert.True(one.equal(batch.narrow(0, i, 1)).all().item<bool>(), $"step {step}, sequence {members[i]}");
            }
        }

        Array.ForEach(together, c => c.Dispose());
        Array.ForEach(alone, c => c.Dispose());
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Forward_OfSeveralTokensStepwise_GivesTheBitsOfSingleSteps(WeightType type)
    {
        using ChatModel model = Load(new KernelOptions { Weights = type, Threads = 3 });
        using DisposeScope scope = NewDisposeScope();
        Random random = new(11);

        // A long full cache, two runs of attention; a merged one, with log-mass; a fresh one. What is drafted in vain is taken back.
        using SessionCache full = Filled(model, 700, null), merged = Filled(model, 300, new() { Method = "flowmm", Ratio = 0.3, Rounds = 1 }), fresh = Filled(model, 9, null);
        SessionCache[] together = [full, merged, fresh], single = [.. together.Select(c => c.Clone())];
        Assert.True(merged.Layers[0].HasMass);
        for (int step = 0; step < 40; step++)
        {
            int[][] ids = [.. together.Select(_ => Enumerable.Range(0, random.Next(1, 17)).Select(_ => random.Next(model.Vocabulary)).ToArray())];
            Tensor rows = model.Forward([.. together.Select((c, i) => new SequenceChunk { Cache = c, TokenIds = ids[i], Stepwise = ids[i].Length > 1 })]);
            int row = 0;
            for (int i = 0; i < together.Length; i++)
            {
                int kept = random.Next(1, ids[i].Length + 1);
                for (int token = 0; token < kept; token++)
                {
                    Tensor one = model.Forward([new() { Cache = single[i], TokenIds = ids[i].AsMemory(token, 1) }]);
                    Assert.True(one.equal(rows.narrow(0, row + token, 1)).all().item<bool>(), $"step {step}, sequence {i}, token {token}");
                }

                together[i].Rewind(ids[i].Length - kept);
                row += ids[i].Length;
            }
        }

        Array.ForEach(single, c => c.Dispose());
    }

    [Fact]
    public void Forward_StepwiseByTheLibrary_IsRefused()
    {
        using ChatModel library = Load(new KernelOptions { Enabled = false });
        using SessionCache cache = library.NewCache();
        Assert.Throws<ArgumentException>(() => library.Forward([new() { Cache = cache, TokenIds = Prompt, Stepwise = true }]));
        Assert.Equal(0, cache.LogicalLength);
    }

    [Fact]
    public void Forward_OnEveryPathAndByTheLibrary_Agrees()
    {
        using ChatModel library = Load(new KernelOptions { Enabled = false });
        using Tensor expected = Decoded(library);
        Assert.Null(library.Weights);
        foreach (KernelPath path in KernelPaths.Available)
        {
            using ChatModel model = ChatModel.Load(TinyModel.Directory, new LoadSettings { Kernels = new KernelOptions { Threads = 2 }, Path = path });
            using Tensor logits = Decoded(model);
            Assert.InRange((logits - expected).abs().max().item<float>(), 0, 2e-4f);
        }
    }

    [Fact]
    public void Forward_OverAnyThreads_GivesTheSameBits()
    {
        using ChatModel single = Load(new KernelOptions { Threads = 1 }), several = Load(new KernelOptions { Threads = 4 });
        using Tensor one = Decoded(single), many = Decoded(several);
        Assert.True(one.equal(many).all().item<bool>());
    }

    [Theory]
    [InlineData(WeightType.Bf16, 0.02)]
    [InlineData(WeightType.Int8, 0.02)]
    public void Forward_WithNarrowWeights_StaysClose(WeightType type, double most)
    {
        using ChatModel wide = Load(new KernelOptions()), narrow = Load(new KernelOptions { Weights = type });
        using Tensor expected = Decoded(wide), logits = Decoded(narrow);
        Tensor p = nn.functional.log_softmax(expected, 1), q = nn.functional.log_softmax(logits, 1);
        Assert.InRange((p.exp() * (p - q)).sum(1).max().item<float>(), 0, most);
        Assert.True(narrow.StepBytes < wide.StepBytes * (type == WeightType.Int8 ? 0.28 : 0.51));
        Assert.NotEqual(wide.Digest, narrow.Digest);
    }

    [Fact]
    public void Forward_OverOneHundredKernelSteps_TakesAlmostNoManagedMemory()
    {
        using ChatModel model = Load(new KernelOptions { Threads = 2 });
        using SessionCache cache = model.NewCache();
        using Tensor first = model.Forward([new() { Cache = cache, TokenIds = Prompt }]);
        for (int warm = 0; warm < 50; warm++)
        {
            model.Forward([new() { Cache = cache, TokenIds = new[] { 40 } }]).Dispose();
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < 100; step++)
        {
            model.Forward([new() { Cache = cache, TokenIds = new[] { 40 + step } }]).Dispose();
        }

        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / 100, 0, 8192);
    }

    private static ChatModel Load(KernelOptions options) => ChatModel.Load(TinyModel.Directory, new LoadSettings { Kernels = options });

    /// <summary>A cache of random tokens, merged if options say so; the caller disposes it.</summary>
    private static SessionCache Filled(ChatModel model, int tokens, MergingPlanOptions? merging)
    {
        Random random = new(tokens);
        SessionCache cache = model.NewCache();
        using SegmentObserver? observer = merging is null ? null : new(model.CacheShape, tokens, merging);
        int[] ids = [.. Enumerable.Range(0, tokens).Select(_ => random.Next(100, 1000))];
        model.Forward([new() { Cache = cache, TokenIds = ids, Observer = observer }]).Dispose();
        if (observer is not null)
        {
            using SessionCompressor compressor = new();
            compressor.CompressSegment(cache, observer, new byte[tokens], merging!, true);
        }

        return cache;
    }

    /// <summary>Logits after a prompt and after each of some further tokens.</summary>
    private static Tensor Decoded(ChatModel model)
    {
        using DisposeScope scope = NewDisposeScope();
        using SessionCache cache = model.NewCache();
        List<Tensor> logits = [model.Forward([new() { Cache = cache, TokenIds = Prompt }])];
        for (int step = 0; step < 8; step++)
        {
            logits.Add(model.Forward([new() { Cache = cache, TokenIds = new[] { 300 + step } }]));
        }

        return cat(logits).MoveToOuterDisposeScope();
    }
}
