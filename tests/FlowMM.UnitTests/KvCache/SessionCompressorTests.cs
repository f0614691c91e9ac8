using FlowMM.KvCache;
using FlowMM.UnitTests.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Merging;

[Collection(Alone.Name)]
public sealed class SessionCompressorTests
{
    [Fact]
    public void CompressSegment_Chunked_EqualsOneShot()
    {
        using DisposeScope scope = NewDisposeScope();
        using SessionFixture whole = new(new(), layers: 2);
        using SessionFixture parts = new(new(), layers: 2);
        whole.Prefill(300, [300]);
        parts.Prefill(300, [1, 7, 64, 100, 128]);
        for (int l = 0; l < 2; l++)
        {
            Assert.True(Segments.Same(whole.Cache.Layers[l].Keys, parts.Cache.Layers[l].Keys));
            Assert.True(Segments.Same(whole.Cache.Layers[l].Values, parts.Cache.Layers[l].Values));
            Assert.True(Segments.Same(whole.Cache.Layers[l].Beta, parts.Cache.Layers[l].Beta));
            Assert.True(Segments.Same(whole.Cache.Layers[l].Positions, parts.Cache.Layers[l].Positions));
        }
    }

    [Fact]
    public void CompressSegment_SecondSegment_LeavesTheFirstAsItIs()
    {
        using DisposeScope scope = NewDisposeScope();
        using SessionFixture session = new(new(), layers: 2);
        session.Prefill(300, [300]);
        Tensor keys = session.Cache.Layers[0].Keys.clone();
        session.Decode(5);
        session.Prefill(200, [200]);
        Assert.Equal(60 + 5 + 40, session.Cache.Layers[0].Length);
        Assert.True(Segments.Same(keys, session.Cache.Layers[0].Keys.narrow(1, 0, 60)));
        Assert.Equal([300, 5, 200], session.Cache.Segments.All.Select(s => s.Tokens));
        Assert.Equal(505, session.Cache.LogicalLength);
        Assert.InRange(session.Cache.Layers[0].Positions[0, -1].item<int>(), 304 + 40, 504);
        Assert.True(session.Cache.Layers[0].HasMass);
    }

    [Fact]
    public void CompressSegment_ShortSegment_StaysWhole()
    {
        using SessionFixture session = new(new(), layers: 2);
        Assert.Null(session.Prefill(63, [63]));
        Assert.Equal(63, session.Cache.Layers[0].Length);
        Assert.Equal(63, session.Cache.TailLength);
        Assert.False(session.Cache.Layers[0].HasMass);
    }

    [Fact]
    public void CompressSegment_BFloat16_KeepsSingleEntriesBitIdentical()
    {
        using DisposeScope scope = NewDisposeScope();
        using SessionFixture whole = new(MergingPresets.Named("full"), layers: 1, ScalarType.BFloat16);
        using SessionFixture session = new(new(), layers: 1, ScalarType.BFloat16);
        whole.Prefill(300, [300]);
        session.Prefill(300, [300]);
        LayerCache layer = session.Cache.Layers[0];
        Tensor at = layer.Positions.to(int64).unsqueeze(2).expand(2, 60, Segments.D);
        Assert.True(Segments.Same(layer.Keys, whole.Cache.Layers[0].Keys.gather(1, at)));
        Tensor single = layer.Counts.eq(1).unsqueeze(2);
        Assert.True(Segments.Same(layer.Values * single, whole.Cache.Layers[0].Values.gather(1, at) * single));
    }

    [Fact]
    public void CompressTail_LongAnswer_LeavesTheNewestWhole()
    {
        using SessionFixture session = new(new MergingPlanOptions { MaxTail = 128 }, layers: 2);
        session.Prefill(100, [100]);
        CompressionOutcome? outcome = session.Decode(129);
        Assert.NotNull(outcome);
        Assert.Equal((100, 97), (outcome.Position, outcome.Tokens));
        Assert.Equal(20 + 20 + 32, session.Cache.Layers[1].Length);
        Assert.Equal(32, session.Cache.TailLength);
        Assert.Equal(229, session.Cache.LogicalLength);
    }

    [Fact]
    public void CompressOldest_AboveTheCap_ShrinksOldSegmentsAndKeepsCounts()
    {
        using DisposeScope scope = NewDisposeScope();
        using SessionFixture session = new(new MergingPlanOptions { Ratio = 0.5, MaxCacheTokens = 120 }, layers: 2);
        session.Prefill(200, [200]);
        session.Prefill(100, [100]);
        session.Decode(10);
        Assert.NotEmpty(session.Cap());
        Assert.Equal(120, session.Cache.LongestLayer);
        Assert.Equal(310, session.Cache.Layers[0].Counts[0].sum().item<long>());
        Assert.Equal(310, session.Cache.LogicalLength);
        Assert.Empty(session.Cap());
    }

    [Fact]
    public void Rewind_IntoCompressedEntries_IsRefused()
    {
        using SessionFixture session = new(new(), layers: 2);
        session.Prefill(300, [300]);
        session.Decode(5);
        session.Cache.Rewind(3);
        Assert.Equal(302, session.Cache.LogicalLength);
        Assert.Throws<ArgumentOutOfRangeException>(() => session.Cache.Rewind(3));
        Assert.Throws<ArgumentOutOfRangeException>(() => session.Cache.Layers[0].Truncate(59));
    }

    [Fact]
    public void Clone_Changed_LeavesTheOriginal()
    {
        using DisposeScope scope = NewDisposeScope();
        using SessionFixture session = new(new(), layers: 2);
        session.Prefill(300, [300]);
        using SessionCache copy = session.Cache.Clone();
        Tensor keys = copy.Layers[0].Keys.clone();
        session.Decode(5);
        session.Prefill(100, [100]);
        Assert.Equal((300, 60, 1), (copy.LogicalLength, copy.Layers[0].Length, copy.Segments.All.Count));
        Assert.True(Segments.Same(keys, copy.Layers[0].Keys));
        Assert.True(copy.Layers[0].HasMass);
    }

    [Theory]
    [InlineData(0.2, 0.78)]
    [InlineData(0.05, 0.93)]
    public void CompressSegment_LongSegment_FreesItsMemory(double ratio, double least)
    {
        using SessionFixture session = new(new MergingPlanOptions { Ratio = ratio, Rounds = 1 }, layers: 1);
        CompressionOutcome outcome = session.Prefill(4096, [4096])!;
        Assert.True(outcome.BytesAfter <= (1 - least) * outcome.BytesBefore, $"{outcome.BytesAfter} of {outcome.BytesBefore}");
    }

    [Fact]
    public void CompressSegment_ManyTimes_LeavesNoTensorBehind()
    {
        using SessionFixture session = new(new(), layers: 2);
        session.Prefill(100, [100]);
        long before = torch.Tensor.TotalCount;
        for (int i = 0; i < 10; i++)
        {
            session.Prefill(100, [100]);
        }

        // Work is shared among threads, so the whole process is counted; what earlier tests left may still be collected meanwhile.
        Assert.InRange(torch.Tensor.TotalCount, 0, before);
    }
}
