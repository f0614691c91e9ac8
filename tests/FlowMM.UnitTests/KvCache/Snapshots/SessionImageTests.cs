using FlowMM.KvCache;
using FlowMM.UnitTests.Merging;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Snapshots;

/// <summary>A cache that went to host memory and back is the cache that it was.</summary>
public sealed class SessionImageTests
{
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Restore_OfACapture_HoldsTheSameBits(ScalarType dtype)
    {
        MergingPlanOptions options = new() { Ratio = 0.25, MaxTail = 96 };
        using SessionFixture fixture = new(options, layers: 2, dtype);
        fixture.Prefill(80, [50, 30]);
        fixture.Prefill(20, [20]);
        fixture.Decode(7);
        SessionImage image = Capture(fixture.Cache);
        using SessionCache restored = new(fixture.Shape, CPU, dtype);
        using SessionContent content = image.ToContent();
        Assert.True(restored.TryRestore(content, 0));
        Assert.Equal((fixture.Cache.LogicalLength, fixture.Cache.TailLength), (restored.LogicalLength, restored.TailLength));
        Assert.True(Images.Same(image, Capture(restored)));
        foreach ((LayerCache was, LayerCache made) in fixture.Cache.Layers.Zip(restored.Layers))
        {
            Assert.Equal((was.Length, was.FixedLength, was.HasMass), (made.Length, made.FixedLength, made.HasMass));
            Assert.True(was.Keys.equal(made.Keys).all().item<bool>());
            Assert.True(was.Beta.equal(made.Beta).all().item<bool>());
        }

        restored.Rewind(7);
        Assert.Equal(100, restored.LogicalLength);
    }

    [Fact]
    public void Restore_Written_GoesThroughTheFormat()
    {
        using SessionFixture fixture = new(new() { Ratio = 0.25 }, layers: 2);
        fixture.Prefill(80, [80]);
        SessionImage image = Capture(fixture.Cache);
        SessionImage read = Images.Read(Images.Write(image), shape: fixture.Shape);
        Assert.True(Images.Same(image, read));
    }

    private static SessionImage Capture(SessionCache cache) =>
        SessionImage.Capture(cache, [.. Enumerable.Range(0, cache.LogicalLength).Select(i => (long)i)], cache.Segments.Tokens);
}
