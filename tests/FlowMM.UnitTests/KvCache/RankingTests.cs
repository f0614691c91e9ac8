using FlowMM.KvCache;
using FsCheck.Xunit;
using Xunit;

namespace FlowMM.UnitTests.Merging;

public sealed class RankingTests
{
    [Property(MaxTest = 500)]
    public void Highest_AnyScores_AreTheBestInOrderOfPosition(byte[] scores, bool[] among, byte count)
    {
        // Few distinct values, so that ties are common.
        double[] few = [.. scores.Select(s => s % 7 / 3.0)];
        bool[] mask = among.Length == 0 ? [] : [.. few.Select((_, i) => among[i % among.Length])];
        Assert.Equal(Ranking.Best(few, count % 20, mask).Order(), Ranking.Highest(few, count % 20, mask));
    }

    [Fact]
    public void Highest_ManyDistinctScores_AreTheBest()
    {
        Random random = new(1);
        double[] scores = [.. Enumerable.Range(0, 5000).Select(_ => random.NextDouble())];
        Assert.Equal(Ranking.Best(scores, 1234, []).Order(), Ranking.Highest(scores, 1234, []));
    }
}
