using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>A store that takes commands and does not answer them in time: its client tells that by another exception than a lost connection.</summary>
public sealed class StoreTimeoutTests
{
    private const string What = "What is in the image?";

    [Fact]
    public async Task Generate_StoreDoesNotAnswerInTime_EndsAndIsAnsweredLater()
    {
        RedisServer redis = new();
        using RedisProxy proxy = new(redis);
        await using TestCluster cluster = await TestCluster.Start(redis, 1, ("FlowMM:Redis", proxy.Connection + ",syncTimeout=500,asyncTimeout=500"));
        string session = await cluster.CreateSession();
        Assert.Equal("a yellow boot", (await cluster.Ask(session, What, TestCluster.Picture("garment-039"))).Text);

        TaskCompletionSource answers = new(TaskCreationOptions.RunContinuationsAsynchronously);
        proxy.Before = async words =>
        {
            await (words.Any(w => w.Contains(session, StringComparison.Ordinal)) ? answers.Task : Task.CompletedTask);
            return true;
        };
        GenerateRequest request = Album.Turn(session, "late", "What colour is the image?", pictures: false);
        Task<(string Text, Turn Turn, int Broken)> running = cluster.Persist(request);
        await Task.Delay(TimeSpan.FromSeconds(4));
        answers.SetResult();
        proxy.Before = null;
        (string text, Turn turn, _) = await running.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(("yellow", 2), (text, turn.Index));
    }
}
