using Xunit;

namespace FlowMM.ClusterTests.Histories;

/// <summary>The checker finds what is planted, each error by its own words, and nothing where there is nothing.</summary>
public sealed class HistoryCheckerTests
{
    private static readonly HistoryEvent[] Events =
    [
        new Invoked("a", "1"), new Acknowledged("a", "1", 1, "one", "one"),
        new Invoked("a", "2"), new Invoked("b", "1"), new Invoked("a", "2"), new Acknowledged("a", "2", 2, "two", "two"),
        new Acknowledged("b", "1", 1, "eins", "eins"),
        new Forked("a", "c", 1), new Invoked("c", "x"), new Acknowledged("c", "x", 2, "ex", "ex"),
        new Invoked("b", "unanswered"),
    ];

    [Fact]
    public void Check_RightHistory_FindsNothing() => Assert.Empty(Check(Events, Stored()));

    [Fact]
    public void Check_TurnThatWasNotAcknowledged_MayBeThere()
    {
        var stored = Stored();
        stored["b"] = [.. stored["b"], new("unanswered", 2, "?")];
        Assert.Empty(Check(Events, stored));
    }

    [Fact]
    public void Check_AcknowledgedTurnLost_IsFound() => Finds("b: turn 1 was acknowledged and is lost", "b", []);

    [Fact]
    public void Check_SessionLost_IsFound()
    {
        var stored = Stored();
        stored.Remove("b");
        Assert.Contains("b: turn 1 was acknowledged and is lost", Check(Events, stored).Single(), StringComparison.Ordinal);
    }

    [Fact]
    public void Check_OtherTextStored_IsFound() => Finds("with other content", "b", [new("1", 1, "zwei")]);

    [Fact]
    public void Check_TurnTwice_IsFound() => Finds("b: turn 1 took effect 2 times", "b", [new("1", 1, "eins"), new("1", 2, "eins")]);

    [Fact]
    public void Check_GapInTheIndex_IsFound() => Finds("b: turn unanswered is at 2 and says 3", "b", [new("1", 1, "eins"), new("unanswered", 3, "?")]);

    [Fact]
    public void Check_TurnThatNobodyAskedFor_IsFound() => Finds("b: nobody asked for turn ghost", "b", [new("1", 1, "eins"), new("ghost", 2, "boo")]);

    [Fact]
    public void Check_OtherOrderThanSeen_IsFound() =>
        Finds("b: turn unanswered was asked for after", "b", [new("unanswered", 1, "?"), new("1", 2, "eins")]);

    [Fact]
    public void Check_ForkOfOtherTurns_IsFound() => Finds("c: does not begin with", "c", [new("1", 1, "other"), new("x", 2, "ex")]);

    [Fact]
    public void Check_StreamDiffersFromTheFinalEvent_IsFound()
    {
        HistoryEvent[] events = [.. Events.Select(e => e is Acknowledged { Session: "b" } told ? told with { Streamed = "ei" } : e)];
        Assert.Contains("b: turn 1 streamed other text", Check(events, Stored()).Single(), StringComparison.Ordinal);
    }

    [Fact]
    public void Check_StreamWithAGapOrTwice_IsFound()
    {
        HistoryEvent[] events = [.. Events, new Misplaced("b", "1", 5, 4)];
        Assert.Equal("b: turn 1 streamed text at 5 to a caller that had 4.", Check(events, Stored()).Single());
    }

    private static void Finds(string words, string session, IReadOnlyList<StoredTurn> turns)
    {
        var stored = Stored();
        stored[session] = turns;
        Assert.Contains(Check(Events, stored), found => found.Contains(words, StringComparison.Ordinal));
    }

    private static IReadOnlyList<string> Check(IReadOnlyList<HistoryEvent> events, Dictionary<string, IReadOnlyList<StoredTurn>> stored) =>
        HistoryChecker.Check(events, stored);

    private static Dictionary<string, IReadOnlyList<StoredTurn>> Stored() => new()
    {
        ["a"] = [new("1", 1, "one"), new("2", 2, "two")],
        ["b"] = [new("1", 1, "eins")],
        ["c"] = [new("1", 1, "one"), new("x", 2, "ex")],
    };
}
