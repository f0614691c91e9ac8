using FlowMM.Abstractions;
using FlowMM.Silo.Placement;
using Xunit;

namespace FlowMM.UnitTests.Silo.Placement;

public sealed class PlacementChoiceTests
{
    private static readonly ulong[] Pictures = [.. Enumerable.Range(1, 4).Select(i => (ulong)i * 0x9E3779B97F4A7C15)];

    [Fact]
    public void Choose_TwoNodes_TakesTheOneWithMoreRoom() =>
        Assert.All(Draws([Load(bytes: 900), Load(bytes: 100)], []), i => Assert.Equal(1, i));

    [Fact]
    public void Choose_TwoNodes_TakesTheOneWithTheShorterQueue() =>
        Assert.All(Draws([Load(queued: 0, running: 1), Load(queued: 8)], []), i => Assert.Equal(0, i));

    [Fact]
    public void Choose_SentSinceTheReport_Counts() =>
        Assert.Equal(1, PlacementChoice.Choose([(Load(), 5), (Load(), 4)], [], new Random(1)));

    [Fact]
    public void Choose_ManyNodes_NeverTakesTheBusiestAndSpreads()
    {
        NodeLoad[] nodes = [.. Enumerable.Range(0, 8).Select(i => Load(queued: i))];
        Dictionary<int, int> counts = Draws(nodes, []).CountBy(i => i).ToDictionary();
        Assert.Equal([0, 1, 2, 3, 4, 5, 6], counts.Keys.Order());
        Assert.True(counts[0] < 400, "of 1,000 draws the least loaded of eight is in a quarter");
    }

    [Fact]
    public void Choose_DrainingNodes_AreLeftOut()
    {
        Assert.All(Draws([Load(draining: true), Load(bytes: 999), Load(draining: true)], []), i => Assert.Equal(1, i));
        Assert.Null(PlacementChoice.Choose([(Load(draining: true), 0)], [], new Random(1)));
        Assert.Null(PlacementChoice.Choose([], [], new Random(1)));
    }

    [Fact]
    public void Choose_NodeThatKnowsThePictures_IsFoundAmongMany()
    {
        NodeLoad[] nodes = [.. Enumerable.Range(0, 20).Select(i => i == 13 ? Load(bytes: 100) with { Pictures = PictureDigest.Of(Pictures) } : Load())];
        Assert.All(Draws(nodes, Pictures), i => Assert.Equal(13, i));
    }

    [Fact]
    public void Choose_NodeThatKnowsThePicturesButIsFull_IsNotTaken() =>
        Assert.All(Draws([Load(), Load(bytes: 600) with { Pictures = PictureDigest.Of(Pictures) }], Pictures), i => Assert.Equal(0, i));

    private static int[] Draws(NodeLoad[] nodes, ulong[] pictures)
    {
        Random random = new(7);
        return [.. Enumerable.Range(0, 1000).Select(_ => PlacementChoice.Choose([.. nodes.Select(n => (n, 0))], pictures, random)!.Value)];
    }

    private static NodeLoad Load(long bytes = 0, int queued = 0, int running = 0, bool draining = false) => new()
    {
        Silo = "silo",
        Time = DateTimeOffset.UnixEpoch,
        CacheBytes = bytes,
        CacheBytesLimit = 1000,
        Queued = queued,
        Running = running,
        MaxRunning = 32,
        Sessions = 0,
        Draining = draining,
    };
}
