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
