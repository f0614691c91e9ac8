using System.Collections.Concurrent;
using FlowMM.Admin.V1;
using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using FlowMM.Silo.Migration;
using Xunit;

namespace FlowMM.ClusterTests;

/// <summary>Silo processes that are told to stop while they are busy: no turn fails.</summary>
public sealed class DrainTests
{
    private const int Streams = 32;
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task Terminate_UnderThirtyTwoStreams_FailsNoTurn()
    {
        await using TestCluster cluster = await Start();
        Load load = new(cluster);
        await load.Warm();
        SiloProcess stopping = cluster.Processes[0];
        stopping.Terminate();
        Assert.Equal(0, await stopping.Exit(Bound));
        await load.End();
        Assert.Contains(load.Turns, t => t.Provenance.Source == Source.Migrated);
        Assert.Contains("sessions left, 0 are still here", stopping.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Terminate_EverySiloInTurn_FailsNoTurn()
    {
        await using TestCluster cluster = await Start();
        Load load = new(cluster);
        await load.Warm();
        foreach (SiloProcess stopping in cluster.Processes)
        {
            stopping.Terminate();
            Assert.Equal(0, await stopping.Exit(Bound));
            await cluster.Replace(stopping.Name);
        }

        await load.End();
        Assert.Contains(load.Turns, t => t.Provenance.Source == Source.Migrated);
    }

    [Fact]
    public async Task Terminate_Twice_ExitsAtOnceAndLosesNothing()
    {
        await using TestCluster cluster = await TestCluster.StartProcesses(3, new RedisServer());
        string session = await cluster.CreateSession();
        (string text, Turn turn) = await cluster.Ask(session, "What is in the image?", TestCluster.Picture("garment-039"));
        SiloProcess stopping = cluster.Processes.Single(p => p.Name == turn.Provenance.Node);
        stopping.Terminate();
        await Task.Delay(100);
        stopping.Terminate();

        // Well before a drain would end by its own time.
        Assert.Equal(1, await stopping.Exit(new HandoverOptions().DrainTimeout / 2));
        GenerateRequest again = Album.Turn(session, "again", "What colour is the image?", pictures: false);
        Assert.Equal("yellow", (await cluster.Persist(again)).Text);
        Assert.Equal([text, "yellow"], (await cluster.Client.ListTurnsAsync(new() { SessionId = session })).Turns.Select(t => t.Text));
    }

    [Fact]
    public async Task DrainNode_ByCommand_EmptiesItAndTakesItOutOfPlacement()
    {
        await using TestCluster cluster = await Start();
        List<string> sessions = [];
        for (int i = 0; i < 9; i++)
        {
            sessions.Add(await cluster.CreateSession());
            await cluster.Ask(sessions[i], "What is in the image?", TestCluster.Picture("garment-039"));
        }

        string node = cluster.Processes[0].Name;
        DrainNodeResponse drained = await cluster.Admin.DrainNodeAsync(new() { Node = node });
        Assert.Equal(0, drained.Left);
        Assert.Equal("draining", (await cluster.Admin.ListNodesAsync(new())).Nodes.Single(n => n.Node_ == node).Status);
        foreach (string session in sessions)
        {
            (string text, Turn turn) = await cluster.Ask(session, "What colour is the image?");
            Assert.Equal("yellow", text);
            Assert.NotEqual(node, turn.Provenance.Node);
        }
    }

    [Fact]
    public async Task DrainNode_ByTwoCommandsAtOnce_IsOneDrain()
    {
        await using TestCluster cluster = await Start();
        string session = await cluster.CreateSession();
        (_, Turn turn) = await cluster.Ask(session, "What is in the image?", TestCluster.Picture("garment-039"));
        DrainNodeRequest drain = new() { Node = turn.Provenance.Node, TimeoutSeconds = 600 };
        DrainNodeResponse[] drained = await Task.WhenAll(cluster.Admin.DrainNodeAsync(drain).ResponseAsync, cluster.Admin.DrainNodeAsync(drain).ResponseAsync);
        Assert.All(drained, d => Assert.Equal((1, 0), (d.Moved, d.Left)));
        (_, turn) = await cluster.Ask(session, "What colour is the image?");
        Assert.Equal(Source.Migrated, turn.Provenance.Source);
    }

    // Nobody dies here: a busy machine is not to be taken for a death.
    private static Task<TestCluster> Start() => TestCluster.StartProcesses(
        3, new RedisServer(), ("FlowMM:Handover:DrainTimeout", "00:01:30"), ("FlowMM:Silo:ProbeTimeout", "00:00:10"));

    /// <summary>Thirty-two conversations that never pause.</summary>
    private sealed class Load(TestCluster cluster)
    {
        private readonly CancellationTokenSource _enough = new();
        private readonly ConcurrentBag<Turn> _turns = [];
        private Task _all = Task.CompletedTask;

        public IReadOnlyCollection<Turn> Turns => _turns;

        /// <summary>Begins; done when every conversation has had a turn.</summary>
        public async Task Warm()
        {
            TaskCompletionSource[] begun = [.. Enumerable.Range(0, Streams).Select(_ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously))];
            _all = Task.WhenAll(begun.Select(Converse));
            await await Task.WhenAny(Task.WhenAll(begun.Select(b => b.Task)), _all);
        }

        /// <summary>Lets the turns that run end. Throws when one failed.</summary>
        public async Task End()
        {
            _enough.Cancel();
            await _all;
            Assert.True(_turns.Count > Streams, $"Only {_turns.Count} turns were run.");
            TestContext.Current.TestOutputHelper?.WriteLine($"{_turns.Count} turns: {string.Join(", ", _turns.CountBy(t => t.Provenance.Source))}");
        }

        private async Task Converse(TaskCompletionSource begun, int place)
        {
            string session = await cluster.CreateSession();
            for (int i = 0; !_enough.IsCancellationRequested; i++)
            {
                // A new conversation before the context is full.
                session = i % 8 == 7 ? await cluster.CreateSession() : session;
                GenerateRequest request = new()
                {
                    SessionId = session,
                    TurnId = $"turn-{i}",
                    Sampling = new() { MaxTokens = 200, Temperature = 2, RepetitionPenalty = 10, Seed = (ulong)place },
                };
                request.Parts.Add(new Part { Text = "Tell me a story." });
                (string text, Turn turn) = await cluster.Run(request);
                Assert.Equal(text, turn.Text);
                _turns.Add(turn);
                begun.TrySetResult();
            }
        }
    }
}
