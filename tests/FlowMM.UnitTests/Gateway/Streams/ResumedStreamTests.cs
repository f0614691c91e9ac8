using FlowMM.Abstractions;
using FlowMM.Gateway.Streams;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans.Runtime;
using Xunit;

namespace FlowMM.UnitTests.Gateway.Streams;

/// <summary>A turn's stream goes on without gap and without repetition when the node that runs it is lost.</summary>
public sealed class ResumedStreamTests
{
    private static readonly TurnAccepted Accepted = new() { TurnId = "t" };
    private static readonly TurnRequest Request = new() { TurnId = "t", Parts = [new MessagePart { Text = "hello" }] };
    private readonly EagerTime _time = new();
    private readonly FailoverOptions _options = new() { Attempts = 3 };

    public static TheoryData<Exception> Breaks =>
    [
        new SiloUnavailableException("gone"),
        new EnumerationAbortedException("gone"),
        new Orleans.Runtime.Messaging.ConnectionFailedException("gone"),
        new TimeoutException("gone"),
        new OperationCanceledException("deactivated"),
        new RefusedException(ErrorCode.Unavailable, "The session moved to another node."),
    ];

    [Theory, MemberData(nameof(Breaks), DisableDiscoveryEnumeration = true)]
    public async Task Listen_BrokenInTheMiddle_GoesOnWithoutGapOrRepetition(Exception broken)
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();

        // The node that goes on cuts its text elsewhere, and says some of it again.
        script.Says(broken, Accepted, Delta(0, "a yel"), Delta(5, "low")).Says(null, Accepted, Delta(0, "a yellow "), Delta(9, "boot"), Finished("a yellow boot"));

        List<TurnEvent> events = await Listen(session);

        Assert.Equal([Accepted, Delta(0, "a yel"), Delta(5, "low"), Delta(8, " "), Delta(9, "boot"), Finished("a yellow boot")], events);
        Assert.Equal([0L, 8L], script.Requests.Select(r => r.ResumeOffset));
        Assert.All(script.Requests, r => Assert.Equal("t", r.TurnId));
    }

    [Fact]
    public async Task Listen_Broken_HandsTheIdsOnThatWereSaid()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        TextDelta Of(long offset, string text, int tokens, params int[] ids) => new() { Offset = offset, Text = text, Tokens = tokens, Ids = ids };
        script.Says(new TimeoutException(), Accepted, Of(0, "a", 1, 11), Of(1, "bc", 4, 12, 13, 14))
            .Says(new TimeoutException(), Accepted, Of(3, "d", 5, 11, 12, 13, 14, 15))
            .Says(new TimeoutException(), Accepted, Of(4, "e", 6, 16))
            .Says(null, Accepted, Finished("abcde"));
        await Listen(session);
        Assert.Equal<IReadOnlyList<int>>([[], [11, 12, 13, 14], [11, 12, 13, 14, 15], [11, 12, 13, 14, 15, 16]], script.Requests.Select(r => r.Said));
    }

    [Fact]
    public async Task Listen_CallersOffsetPastTheFirstIds_HandsNoneOn()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Says(new TimeoutException(), Accepted, new TextDelta { Offset = 9, Text = "x", Tokens = 7, Ids = [5] }).Says(null, Accepted, Finished("123456789x"));
        await Listen(session, Request with { ResumeOffset = 9 });
        Assert.All(script.Requests, r => Assert.Empty(r.Said));
    }

    [Fact]
    public async Task Listen_BrokenBeforeAnything_AsksAgain()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Says(new SiloUnavailableException()).Says(new SiloUnavailableException(), Accepted).Says(null, Accepted, Delta(0, "yes"), Finished("yes"));
        Assert.Equal([Accepted, Delta(0, "yes"), Finished("yes")], await Listen(session));
    }

    [Fact]
    public async Task Listen_EndsWithoutTheFinalEvent_AsksAgain()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Says(null, Accepted, Delta(0, "yes")).Says(null, Accepted, Finished("yes"));
        Assert.Equal([Accepted, Delta(0, "yes"), Finished("yes")], await Listen(session));
    }

    [Fact]
    public async Task Listen_CallersOffset_IsWhereTheTextBegins()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Says(new TimeoutException(), Accepted, Delta(9, "bo")).Says(null, Accepted, Delta(11, "ot"), Finished("a yellow boot"));
        List<TurnEvent> events = await Listen(session, Request with { ResumeOffset = 9 });
        Assert.Equal([Accepted, Delta(9, "bo"), Delta(11, "ot"), Finished("a yellow boot")], events);
        Assert.Equal([9L, 11L], script.Requests.Select(r => r.ResumeOffset));
    }

    [Theory, InlineData(ErrorCode.InvalidArgument), InlineData(ErrorCode.FailedPrecondition), InlineData(ErrorCode.ResourceExhausted)]
    public async Task Listen_Refused_IsNotTriedAgain(ErrorCode code)
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Says(new RefusedException(code, "no"), Accepted);
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Listen(session));
        Assert.Equal((code, "no", 1), (refused.Code, refused.Message, script.Requests.Count));
    }

    [Fact]
    public async Task Listen_TriesUsedUp_TellsWhatToResumeBy()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Says(new TimeoutException(), Accepted, Delta(0, "a yel"));
        for (int i = 0; i < 3; i++)
        {
            script.Says(new SiloUnavailableException("10.0.0.7"), Accepted);
        }

        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Listen(session));

        Assert.Equal(ErrorCode.Unavailable, refused.Code);
        Assert.Contains("turn_id t and resume_offset 5", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("10.0.0.7", refused.Message, StringComparison.Ordinal);
        Assert.Equal(4, script.Requests.Count);
    }

    [Fact]
    public async Task Listen_NewTextBetweenBreaks_BeginsToCountAnew()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        for (int i = 0; i < 10; i++)
        {
            script.Says(new TimeoutException(), Accepted, Delta(i, "x"));
        }

        script.Says(null, Accepted, Finished("xxxxxxxxxx"));
        Assert.Equal(12, (await Listen(session)).Count);
    }

    [Fact]
    public async Task Listen_BreaksInARow_WaitsLongerEachTimeUpToABound()
    {
        _options.Attempts = 10;
        _options.Silence = TimeSpan.FromHours(1);
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        for (int i = 0; i < 10; i++)
        {
            script.Says(new TimeoutException());
        }

        script.Says(null, Accepted, Finished(""));
        await Listen(session);
        double[] waits = [.. _time.Waits.Select(w => w.TotalMilliseconds)];
        Assert.Equal(10, waits.Length);
        Assert.All(waits.Index(), w => Assert.InRange(w.Item, Math.Min(200 << w.Index, 4000) / 2.0, Math.Min(200 << w.Index, 4000)));
        Assert.True(waits.Distinct().Count() > 7, "Callers whose node died together must not come back together.");
    }

    [Fact]
    public async Task Listen_SilentAndTheSessionRunsTheTurnNoMore_AsksAgain()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.FallsSilent(new TaskCompletionSource().Task, Accepted, Delta(0, "yes")).Says(null, Accepted, Finished("yes"));
        Assert.Equal([Accepted, Delta(0, "yes"), Finished("yes")], await Listen(session));
    }

    [Fact]
    public async Task Listen_SilentAndTheSessionDoesNotAnswer_AsksAgain()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Reached = () => new TaskCompletionSource<long?>().Task;
        script.FallsSilent(new TaskCompletionSource().Task, Accepted).Says(null, Accepted, Finished(""));
        Assert.Equal([Accepted, Finished("")], await Listen(session));
    }

    [Fact]
    public async Task Listen_SilentWhileTheSessionIsAhead_AsksAgain()
    {
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Reached = () => Task.FromResult<long?>(9);
        script.FallsSilent(new TaskCompletionSource().Task, Accepted, Delta(0, "yes")).Says(null, Accepted, Delta(3, ", it is"), Finished("yes, it is"));
        Assert.Equal([Accepted, Delta(0, "yes"), Delta(3, ", it is"), Finished("yes, it is")], await Listen(session));
    }

    [Fact]
    public async Task Listen_SilentWhileTheTurnIsWhereItWas_WaitsOn()
    {
        int asked = 0;
        TaskCompletionSource silent = new();
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Reached = () =>
        {
            if (++asked == 20)
            {
                silent.SetException(new RefusedException(ErrorCode.ResourceExhausted, "no memory"));
            }

            return Task.FromResult<long?>(0);
        };
        script.FallsSilent(silent.Task, Accepted);
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Listen(session));
        Assert.Equal((ErrorCode.ResourceExhausted, 20, 1), (refused.Code, asked, script.Requests.Count));
    }

    [Fact]
    public async Task Listen_CallerLeaves_EndsAtOnce()
    {
        using CancellationTokenSource left = new();
        (ISessionGrain session, ScriptedSession script) = ScriptedSession.Create();
        script.Reached = () =>
        {
            left.Cancel();
            return Task.FromResult<long?>(0);
        };
        script.FallsSilent(new TaskCompletionSource().Task, Accepted);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Listen(session, cancellationToken: left.Token));
        Assert.Single(script.Requests);
    }

    private static TextDelta Delta(long offset, string text) => new() { Offset = offset, Text = text, Tokens = 1 };

    private static TurnFinished Finished(string text) => new()
    {
        Turn = new Turn
        {
            TurnId = "t",
            Index = 1,
            Prompt = "hello",
            Images = NoImages,
            Text = text,
            FinishReason = FinishReason.Stop,
            Usage = new Usage { PromptTokens = 1, CompletionTokens = 1, ImageTokens = 0, TimeToFirstTokenMs = 0, PrefillMs = 0, DecodeMs = 0 },
            Provenance = new Provenance { Source = CacheSource.New, TokensReused = 0, TokensReplayed = 0, Ms = 0, Bytes = 0, Node = "n" },
            CommitTime = DateTimeOffset.UnixEpoch,
        },
    };

    private static IReadOnlyList<string> NoImages { get; } = [];

    private async Task<List<TurnEvent>> Listen(ISessionGrain session, TurnRequest? request = null, CancellationToken cancellationToken = default)
    {
        ResumedStream stream = new(Options.Create(_options), _time, new Random(7), NullLogger<ResumedStream>.Instance);
        List<TurnEvent> events = [];
        await foreach (TurnEvent happened in stream.Listen(session, request ?? Request, cancellationToken))
        {
            events.Add(happened);
        }

        return events;
    }
}
