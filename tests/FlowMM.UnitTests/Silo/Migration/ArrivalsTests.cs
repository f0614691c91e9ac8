using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Silo.Migration;
using FlowMM.Silo.Store;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Silo.Migration;

/// <summary>A turn that was sent is gone on with only as long as nobody else holds it.</summary>
public sealed class ArrivalsTests
{
    private static readonly SessionKey Key = new("tenant", "session");
    private readonly Arrivals _arrivals = new(TimeProvider.System);

    [Fact]
    public void Take_AsSent_IsTakenOnce()
    {
        Park(new Fence(3, "sender"));
        Assert.NotNull(_arrivals.Take(Key, Session(3, "sender")));
        Assert.Null(_arrivals.Take(Key, Session(3, "sender")));
    }

    [Theory]
    [InlineData(3, "sender, who took it up again")]
    [InlineData(4, "sender")]
    [InlineData(3, null)]
    public void Take_HeldByAnotherSince_IsVoid(long epoch, string? owner)
    {
        Park(new Fence(3, "sender"));
        Assert.Null(_arrivals.Take(Key, Session(epoch, owner)));
    }

    [Fact]
    public void Take_SessionWithoutTheTurn_IsVoid()
    {
        Park(new Fence(3, "sender"));
        Assert.Null(_arrivals.Take(Key, Session(3, "sender") with { Pending = null }));
        Assert.Null(_arrivals.Take(Key, null));
    }

    private void Park(Fence held) =>
        _arrivals.Add(Key, new ArrivedTurn("turn", held, new TurnProgress(), 1, TimeProvider.System.GetTimestamp()));

    private static SessionRecord Session(long epoch, string? owner) =>
        new() { Spec = new SessionSpec(), CreateTime = DateTimeOffset.UnixEpoch, Model = "tiny", Epoch = epoch, Owner = owner, Turns = [], Pending = Turns.Accepted("turn") };
}
