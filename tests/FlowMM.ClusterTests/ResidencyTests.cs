using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Where an idle session's cache is: device memory, host memory, the store; and that it answers the same from each.</summary>
public sealed class ResidencyTests
{
    private const string First = "What is in image 3?";
    private const string Second = "What colour is image 1?";
    private const string Third = "What is in image 2?";

    [Fact]
    public async Task Cool_SessionIdle_GoesToHostThenToTheStoreAndAnswersTheSameFromEach()
    {
        await using TestCluster cluster = await TestCluster.Start(
            1, ("FlowMM:Silo:IdleOnDevice", "00:00:01"), ("FlowMM:Silo:IdleOnHost", "00:00:05"), ("FlowMM:Snapshots:Restore", "Always"));
        string session = await cluster.Create();
        await cluster.Run(Album.Turn(session, "one", First, true));
        string control = (await cluster.Client.ForkSessionAsync(new() { SessionId = session })).Session.SessionId;
        string second = (await cluster.Run(Album.Turn(control, "two", Second, false))).Text;
        string third = (await cluster.Run(Album.Turn(control, "three", Third, false))).Text;
        await Until(cluster, session, Residency.Host);
        await Until(cluster, session, Residency.None);
        (string text, Turn turn) = await cluster.Run(Album.Turn(session, "two", Second, false));
        Assert.Equal((second, Source.Restored), (text, turn.Provenance.Source));
        await Until(cluster, session, Residency.Host);
        (text, turn) = await cluster.Run(Album.Turn(session, "three", Third, false));
        Assert.Equal((third, Source.Resident), (text, turn.Provenance.Source));
    }

    private static async Task Until(TestCluster cluster, string session, Residency residency)
    {
        for (int i = 0; i < 600; i++)
        {
            if ((await cluster.Client.GetSessionAsync(new() { SessionId = session })).Session.Residency == residency)
            {
                return;
            }

            await Task.Delay(50);
        }

        Assert.Fail($"The session did not come to {residency}.");
    }
}
