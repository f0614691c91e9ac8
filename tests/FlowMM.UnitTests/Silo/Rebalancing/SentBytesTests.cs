using FlowMM.Silo.Rebalancing;
using Xunit;

namespace FlowMM.UnitTests.Silo.Rebalancing;

/// <summary>What was sent counts while it is not reported, and no longer.</summary>
public sealed class SentBytesTests
{
    [Fact]
    public void Adjust_NodeThatReportsTwice_CountsUntilThen()
    {
        SentBytes sent = new();
        sent.Add(SimulatedCluster.Load("a", 0, 0), 10);
        Assert.Equal([10L, 10L, 0L], ((int[])[0, 1, 2]).Select(report => Assert.Single(sent.Adjust([SimulatedCluster.Load("a", 0, report)])).CacheBytes));
        Assert.Equal(0, sent.Moves);
    }

    [Fact]
    public void Adjust_NodeThatReportsNoMore_IsForgotten()
    {
        SentBytes sent = new();
        sent.Add(SimulatedCluster.Load("dead", 0, 0), 10);
        sent.Add(SimulatedCluster.Load("a", 0, 0), 20);
        Assert.Equal(20, Assert.Single(sent.Adjust([SimulatedCluster.Load("a", 0, 0)])).CacheBytes);
        Assert.Equal(1, sent.Moves);
    }
}
