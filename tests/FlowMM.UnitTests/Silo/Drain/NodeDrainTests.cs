using FlowMM.Silo.Drain;
using Xunit;

namespace FlowMM.UnitTests.Silo.Drain;

/// <summary>How often sessions are asked to leave.</summary>
public sealed class NodeDrainTests
{
    [Fact]
    public void NextWait_NothingLeft_DoublesUpToFiveSeconds()
    {
        TimeSpan wait = TimeSpan.FromMilliseconds(50);
        List<double> waits = [];
        for (int round = 0; round < 9; round++)
        {
            waits.Add((wait = NodeDrain.NextWait(wait, 0)).TotalMilliseconds);
        }

        Assert.Equal([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000], waits);
        Assert.Equal(TimeSpan.FromMilliseconds(50), NodeDrain.NextWait(wait, 1));
    }
}
