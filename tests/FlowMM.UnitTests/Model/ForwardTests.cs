using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model;

public sealed class ForwardTests
{
    private static readonly int[] Prompt = [1, 271, 202, 40, 41, 42];

    private static ChatModel Model => TinyModel.Model;

    [Fact]
    public void Forward_OverOneHundredSteps_LeavesNoTensor()
    {
        using SessionCache cache = Model.NewCache();
        Model.Forward([new() { Cache = cache, TokenIds = Prompt }]).Dispose();
        foreach (LayerCache layer in cache.Layers)
        {
            layer.EnsureCapacity(256);
        }

        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int step = 0; step < 100; step++)
        {
            using Tensor logits = Model.Forward([new() { Cache = cache, TokenIds = new[] { 40 + step } }]);
        }

        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        Assert.Equal(Prompt.Length + 100, cache.LogicalLength);
    }

    /// <summary>A temporary of a native call must not be freed while it is read: see Sums.</summary>
    [Fact]
    public void Forward_WhileGarbageIsCollected_NeverFails()
    {
        using ConstantCollection collection = new();
        using SessionCache cache = Model.NewCache();
        for (int step = 0; step < 300; step++)
        {
            using Tensor logits = Model.Forward([new() { Cache = cache, TokenIds = new[] { 40 + step } }]);
        }
    }

    [Fact]
    public void EncodeImage_Repeated_LeavesNoTensor()
    {
        ProcessedImage image = Model.Images!.Preprocess(TinyModel.Picture("garment-039"));
        Model.EncodeImage(image).Dispose();
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (int i = 0; i < 20; i++)
        {
            Model.EncodeImage(image).Dispose();
        }

        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Forward_ObserverThrows_LeavesCachesAsTheyWere()
    {
        using SessionCache cache = Model.NewCache();
        using Tensor first = Model.Forward([new() { Cache = cache, TokenIds = Prompt }]);
        Assert.Throws<InvalidOperationException>(() => Model.Forward([new() { Cache = cache, TokenIds = Prompt, Observer = new Refusing() }]));
        Assert.Equal(Prompt.Length, cache.LogicalLength);
        Assert.All(cache.Layers, l => Assert.Equal(Prompt.Length, l.Length));
    }

    [Fact]
    public void Forward_WithObserver_ShowsEveryLayerOnceInOrder()
    {
        using SessionCache cache = Model.NewCache();
        Recording seen = new();
        using Tensor logits = Model.Forward([new() { Cache = cache, TokenIds = Prompt, Observer = seen, SegmentStart = 9 }]);
        CacheShape shape = Model.CacheShape;
        Assert.Equal(
            Enumerable.Range(0, shape.Layers).Select(l => (l, (long)shape.QueryHeads, (long)Prompt.Length, (long)shape.HeadDim, 9)), seen.Calls);
    }

    [Fact]
    public void Forward_UnusableChunk_IsRefused()
    {
        using SessionCache cache = Model.NewCache();
        int image = Model.ImageTokenId!.Value;
        Assert.ThrowsAny<ArgumentException>(() => Model.Forward([]));
        Assert.ThrowsAny<ArgumentException>(() => Model.Forward([new() { Cache = cache, TokenIds = Array.Empty<int>() }]));
        Assert.ThrowsAny<ArgumentException>(() => Model.Forward([new() { Cache = cache, TokenIds = new[] { Model.Vocabulary } }]));
        Assert.ThrowsAny<ArgumentException>(() => Model.Forward([new() { Cache = cache, TokenIds = new[] { -1 } }]));
        Assert.ThrowsAny<ArgumentException>(() => Model.Forward([new() { Cache = cache, TokenIds = new[] { 40, image } }]));
        Assert.Equal(0, cache.LogicalLength);
    }

    [Fact]
    public void Forward_SampledImageTokenBesideAPicture_DoesNotTakeItsRows()
    {
        using DisposeScope scope = NewDisposeScope();
        using SessionCache alone = Model.NewCache(), together = Model.NewCache(), other = Model.NewCache();
        int image = Model.ImageTokenId!.Value;
        int[] ids = [1, .. Enumerable.Repeat(image, Model.TokensPerImage), 40];
        Tensor rows = Model.EncodeImage(Model.Images!.Preprocess(TinyModel.Picture("garment-039")));
        Tensor expected = Model.Forward([new() { Cache = alone, TokenIds = ids, ImageRows = rows }]);
        Tensor both = Model.Forward([new() { Cache = other, TokenIds = new[] { image } }, new() { Cache = together, TokenIds = ids, ImageRows = rows }]);
        Assert.True(allclose(expected, both.narrow(0, 1, 1), 1e-4, 1e-4));
    }

    private sealed class Refusing : IQueryObserver
    {
        public void Observe(int layer, Tensor queries, int start)
        {
            if (layer == 2)
            {
                throw new InvalidOperationException("on purpose");
            }
        }
    }

    private sealed class Recording : IQueryObserver
    {
        public List<(int Layer, long Heads, long Rows, long Width, int Start)> Calls { get; } = [];

        public void Observe(int layer, Tensor queries, int start) => Calls.Add((layer, queries.shape[0], queries.shape[1], queries.shape[2], start));
    }
}
