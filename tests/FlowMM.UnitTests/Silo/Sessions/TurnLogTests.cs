using FlowMM.Abstractions;
using FlowMM.Silo.Sessions;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Silo.Sessions;

/// <summary>What a turn's listeners are told when it is said in parts, and again.</summary>
public sealed class TurnLogTests
{
    private static readonly TextDelta One = new() { Offset = 0, Text = "a ", Tokens = 2, Ids = [5, 6] };
    private static readonly TextDelta Two = new() { Offset = 2, Text = "boot", Tokens = 3, Ids = [7] };

    [Fact]
    public async Task Add_SaidAgainAfterATurnWasTakenUp_IsToldOnce()
    {
        TurnLog log = new(Turns.Accepted("turn"), []);
        log.Add(One);
        log.Add(new TextDelta { Offset = 0, Text = "a bo", Tokens = 2, Ids = [5, 6] });
        log.Add(Two);
        log.End(null);
        TextDelta[] told = [.. (await log.Listen(0, [], CancellationToken.None).ToListAsync()).OfType<TextDelta>()];
        Assert.Equal("a boot", string.Concat(told.Select(d => d.Text)));
        Assert.Equal(6, log.Reached);
        Assert.Equal([5, 6, 7], log.Ids);
    }

    [Fact]
    public async Task Listen_FromAnOffset_BringsTheIdsOfWhatIsLeftOut()
    {
        TurnLog log = new(Turns.Accepted("turn"), []);
        log.Add(One);
        log.Add(Two);
        log.End(null);
        TextDelta told = Assert.Single((await log.Listen(2, [5, 6], CancellationToken.None).ToListAsync()).OfType<TextDelta>());
        Assert.Equal([5, 6, 7], told.Ids);
        List<int> ids = [5];
        told.AddTo(ids);
        Assert.Equal([5, 6, 7], ids);
    }

    [Fact]
    public void Ids_OfAnAnswerThatIsKnownToBeginSo_AreThoseAndWhatFollows()
    {
        TurnLog log = new(Turns.Accepted("turn"), [5, 6]);
        Assert.Equal([5, 6], log.Ids);
        log.Add(One);
        log.Add(Two);
        Assert.Equal([5, 6, 7], log.Ids);
    }

    [Fact]
    public async Task Listen_ToldMoreThanIsKnown_IsRefusedBeforeOtherTextIsTold()
    {
        TurnLog log = new(Turns.Accepted("turn"), []);
        log.Add(One);
        await using IAsyncEnumerator<TurnEvent> same = log.Listen(2, [5, 6, 7], CancellationToken.None).GetAsyncEnumerator();
        await using IAsyncEnumerator<TurnEvent> other = log.Listen(2, [5, 6, 8], CancellationToken.None).GetAsyncEnumerator();
        ValueTask<bool> waits = other.MoveNextAsync();
        Assert.False(waits.IsCompleted);
        log.Add(Two);
        Assert.True(await same.MoveNextAsync());
        Assert.Equal(ErrorCode.FailedPrecondition, (await Assert.ThrowsAsync<RefusedException>(() => waits.AsTask())).Code);
    }

    [Fact]
    public void AddTo_IdsBetweenAreMissing_AddsNothing()
    {
        List<int> ids = [5];
        Two.AddTo(ids);
        Assert.Equal([5], ids);
    }

    [Fact]
    public void Owner_OfTwoRuns_AreTwo() => Assert.NotEqual(new TurnLog(Turns.Accepted("turn"), []).Owner, new TurnLog(Turns.Accepted("turn"), []).Owner);
}
