using FlowMM.Abstractions;
using FlowMM.Silo.Rebalancing;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Silo.Rebalancing;

/// <summary>Which session leaves a node, when and where to.</summary>
public sealed class RebalancePlanTests
{
    private readonly ManualTime _time = new();
    private readonly Candidate[] _sessions = [Session("a", idle: 10), Session("b", idle: 30), Session("c", idle: 20), Session("d", busy: true)];

    [Fact]
    public void Next_EmptyNodeJoined_TheIdlestGoesThere()
    {
        RebalanceStep step = Plan().Next(Node("self", 900), [Node("self", 900), Node("other", 700), Node("new", 0)], () => _sessions)!;
        Assert.Equal(("b", "new"), (step.Session.Key.Session, step.Target.Silo));
    }

    [Fact]
    public void Next_HottestPreferred_TheRunningOneGoesFirst()
    {
        RebalancePlan plan = Plan(o => o.Prefer = RebalancePreference.Hottest);
        NodeLoad[] others = [Node("new", 0)];
        Assert.Equal("d", plan.Next(Node("self", 900), others, () => _sessions)!.Session.Key.Session);
        Assert.Equal("a", plan.Next(Node("self", 900), others, () => _sessions[..3])!.Session.Key.Session);
    }

    [Theory]
    [InlineData(900, 0, false, "http://new", 0, 0, true)]
    [InlineData(200, 0, false, "http://new", 0, 0, false)]
    [InlineData(201, 0, false, "http://new", 0, 0, true)]
    [InlineData(900, 701, false, "http://new", 0, 0, false)]
    [InlineData(900, 0, true, "http://new", 0, 0, false)]
    [InlineData(900, 0, false, "", 0, 0, false)]
    [InlineData(900, 0, false, "http://new", 4, 4, true)]
    [InlineData(900, 0, false, "http://new", 4, 5, false)]
    public void Next_OneOther_SendsWhenItHasMuchMoreRoomAndIsNotBusier(long own, long others, bool draining, string handover, int running, int othersRunning, bool expected)
    {
        NodeLoad other = Node("new", others) with { Draining = draining, Handover = handover, Running = othersRunning };
        Assert.Equal(expected, Plan().Next(Node("self", own) with { Running = running }, [other], () => _sessions) is not null);
    }

    [Fact]
    public void Next_NotTheFullest_SendsNothing()
    {
        Assert.Null(Plan().Next(Node("self", 800), [Node("fuller", 801), Node("new", 0)], () => _sessions));
        Assert.NotNull(Plan().Next(Node("self", 800), [Node("fuller", 801) with { Draining = true }, Node("new", 0)], () => _sessions));

        // Of two that are equally full one sends.
        Assert.Single((string[])["one", "two"], name => Plan().Next(Node(name, 800), [Node("one", 800), Node("two", 800), Node("new", 0)], () => _sessions) is not null);
    }

    [Fact]
    public void Next_Draining_SendsNothing() =>
        Assert.Null(Plan().Next(Node("self", 900) with { Draining = true }, [Node("new", 0)], () => _sessions));

    [Fact]
    public void Next_Begun_GoesOnUntilHalfOfTheThresholdIsLeft()
    {
        RebalancePlan plan = Plan();
        Assert.Null(plan.Next(Node("self", 150), [Node("new", 0)], () => _sessions));
        Assert.NotNull(plan.Next(Node("self", 250), [Node("new", 0)], () => _sessions));
        Assert.NotNull(plan.Next(Node("self", 150), [Node("new", 0)], () => _sessions));
        Assert.Null(plan.Next(Node("self", 100), [Node("new", 0)], () => _sessions));
        Assert.Null(plan.Next(Node("self", 150), [Node("new", 0)], () => _sessions));
    }

    [Fact]
    public void Next_SessionThatWouldTurnTheTwoAround_Stays()
    {
        RebalanceStep step = Plan().Next(Node("self", 300), [Node("new", 0)], () => [Session("large", bytes: 160, idle: 99), Session("small", bytes: 150, idle: 1)])!;
        Assert.Equal("small", step.Session.Key.Session);
        Assert.Null(Plan().Next(Node("self", 300), [Node("new", 0)], () => [Session("large", bytes: 160), Session("on the host", bytes: 0)]));
    }

    [Fact]
    public void Next_SessionThatCameLately_Stays()
    {
        Assert.Null(Plan().Next(Node("self", 900), [Node("new", 0)], () => [Session("a", here: 59)]));
        Assert.NotNull(Plan().Next(Node("self", 900), [Node("new", 0)], () => [Session("a", here: 60)]));
    }

    [Fact]
    public void Next_MoveRefused_TheSessionIsLeftAloneForAWhile()
    {
        RebalancePlan plan = Plan();
        plan.Took(plan.Next(Node("self", 900), [Node("new", 0)], () => _sessions)!, MoveOutcome.Stayed);
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("c", plan.Next(Node("self", 900), [Node("new", 0)], () => _sessions)!.Session.Key.Session);
        _time.Advance(TimeSpan.FromSeconds(58));
        Assert.Equal("b", plan.Next(Node("self", 900), [Node("new", 0)], () => _sessions)!.Session.Key.Session);
    }

    [Fact]
    public void Took_ManyRefused_OnlyThoseThatRestAreRemembered()
    {
        RebalancePlan plan = Plan();
        for (int session = 0; session < 100; session++, _time.Advance(TimeSpan.FromSeconds(10)))
        {
            plan.Took(plan.Next(Node("self", 900), [Node("new", 0)], () => [Session($"{session}")])!, MoveOutcome.Stayed);
        }

        Assert.Equal(6, plan.Refused);
    }

    [Fact]
    public void Next_MoveWentByTheStore_NoneMovesForAWhileAndTheTargetIsNotCharged()
    {
        RebalancePlan plan = Plan();
        plan.Took(plan.Next(Node("self", 205), [Node("new", 0)], () => [Session("a", bytes: 100)])!, MoveOutcome.ByStore);
        _time.Advance(TimeSpan.FromSeconds(59));
        Assert.Null(plan.Next(Node("self", 900), [Node("new", 0)], () => _sessions));
        Assert.Null(plan.Next(Node("self", 900), [Node("new", 500), Node("another", 0)], () => _sessions));
        Assert.True(plan.Moving);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.NotNull(plan.Next(Node("self", 205), [Node("new", 0)], () => [Session("b", bytes: 100)]));
    }

    [Fact]
    public void Next_AfterAMove_WaitsForItsTurn()
    {
        RebalancePlan plan = Plan();
        int moves = 0;
        for (int tick = 0; tick < 600; tick++, _time.Advance(TimeSpan.FromMilliseconds(100)))
        {
            if (plan.Next(Node("self", 900), [Node("new", 0, report: tick)], () => _sessions) is { } step)
            {
                plan.Took(step, MoveOutcome.Straight);
                moves++;
            }
        }

        Assert.Equal(30, moves);
    }

    [Fact]
    public void Next_SentSinceTheReport_CountsUntilTheSecondNewOne()
    {
        RebalancePlan plan = Plan(o => o.MaxPerMinute = 600);
        RebalanceStep? Ask(int report)
        {
            _time.Advance(TimeSpan.FromMilliseconds(100));
            return plan.Next(Node("self", 205), [Node("new", 0, report)], () => [Session("a", bytes: 100)]);
        }

        plan.Took(Ask(0)!, MoveOutcome.Straight);
        Assert.Equal([false, false, true], ((int[])[0, 1, 2]).Select(report => Ask(report) is not null));
    }

    /// <summary>Two full nodes, and one that joins: they come within the threshold, no session moves twice, and nothing moves after that.</summary>
    [Theory]
    [InlineData(RebalancePreference.Idlest, 40, 40)]
    [InlineData(RebalancePreference.Hottest, 40, 40)]
    [InlineData(RebalancePreference.Idlest, 44, 13)]
    public void Next_NodeJoins_TheClusterComesToRest(RebalancePreference prefer, int first, int second)
    {
        SimulatedCluster cluster = new(_time, [first, second, 0], o => o.Prefer = prefer);
        cluster.Run(TimeSpan.FromMinutes(10));
        Assert.InRange(cluster.Spread, 0, 0.2);
        Assert.Equal(first + second, cluster.Sessions);
        Assert.True(cluster.Moves > 10, $"{cluster.Moves} moves.");
        Assert.All(cluster.MovesOfEach, m => Assert.Equal(1, m));
        int moves = cluster.Moves;
        cluster.Run(TimeSpan.FromMinutes(10));
        Assert.Equal(moves, cluster.Moves);
    }

    private RebalancePlan Plan(Action<RebalanceOptions>? change = null)
    {
        RebalanceOptions options = new() { Enabled = true };
        change?.Invoke(options);
        return new RebalancePlan(options, _time);
    }

    private static Candidate Session(string name, long bytes = 10, int idle = 0, int here = 3600, bool busy = false) =>
        new(new SessionKey("default", name), bytes, busy, TimeSpan.FromSeconds(idle), TimeSpan.FromSeconds(here));

    private static NodeLoad Node(string name, long bytes, int report = 0) => SimulatedCluster.Load(name, bytes, report);
}
