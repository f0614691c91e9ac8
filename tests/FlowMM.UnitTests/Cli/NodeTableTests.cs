using FlowMM.Admin.V1;
using FlowMM.Cli.Nodes;
using Google.Protobuf.WellKnownTypes;
using Xunit;

namespace FlowMM.UnitTests.Cli;

public sealed class NodeTableTests
{
    [Fact]
    public void Of_NodesThatReportAndOneThatDoesNot_AreInColumns()
    {
        Node alive = new()
        {
            Node_ = "silo-1",
            Address = "127.0.0.1:11111",
            Status = "active",
            ResidentSessions = 1200,
            CacheBytes = 3 << 20,
            CacheBytesLimit = 4L << 30,
            QueueLength = 2,
            Running = 7,
            ReportTime = new Timestamp(),
        };
        Node dead = new() { Node_ = "the-other", Address = "127.0.0.1:2", Status = "dead" };
        Assert.Equal(
            [
                "NODE       ADDRESS          STATUS  SESSIONS    CACHE     LIMIT  QUEUE  RUNNING",
                "silo-1     127.0.0.1:11111  active      1200  3.0 MiB  4.00 GiB      2        7",
                "the-other  127.0.0.1:2      dead           -        -         -      -        -",
            ],
            NodeTable.Of([alive, dead]).TrimEnd().Split(Environment.NewLine));
    }

    [Fact]
    public void Of_NoNodes_IsTheTitles() => Assert.StartsWith("NODE  ADDRESS", NodeTable.Of([]), StringComparison.Ordinal);
}
