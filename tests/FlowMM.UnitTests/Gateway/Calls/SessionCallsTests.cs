using FlowMM.Abstractions;
using FlowMM.Gateway.Calls;
using FlowMM.Gateway.Hosting;
using FlowMM.Gateway.Streams;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans.Runtime;
using Xunit;

namespace FlowMM.UnitTests.Gateway.Calls;

/// <summary>A call whose node is lost is made again, unless twice could be more than once.</summary>
public sealed class SessionCallsTests
{
    private static readonly SessionKey Key = new("one", "s");
    private static readonly SessionInfo Info = new()
    {
        SessionId = "s",
        CreateTime = DateTimeOffset.UnixEpoch,
        Turns = 2,
        Tokens = 3,
        Epoch = 2,
        Spec = new SessionSpec(),
        Model = "tiny",
        Residency = Residency.None,
        CacheBytes = 0,
    };

    private readonly EagerTime _time = new();
    private readonly FailoverOptions _options = new() { Attempts = 3 };
    private readonly ScriptedCluster _script;
    private readonly SessionCalls _calls;

    public SessionCallsTests()
    {
        (IClusterClient cluster, _script) = ScriptedCluster.Create();
        _calls = new(cluster, new RepeatedCalls(Options.Create(_options), Options.Create(new GatewayOptions()), _time, new Random(7), NullLogger<RepeatedCalls>.Instance));
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<Exception> Breaks =>
    [
        new SiloUnavailableException("gone"),
        new Orleans.Runtime.Messaging.ConnectionFailedException("gone"),
        new TimeoutException("gone"),
        new OperationCanceledException("deactivated"),
        new RefusedException(ErrorCode.Unavailable, "The session is moving."),
    ];

    [Theory, MemberData(nameof(Breaks), DisableDiscoveryEnumeration = true)]
    public async Task Get_BrokenTwice_IsAnsweredByTheThird(Exception broken)
    {
        _script.Answers("Get", Lost(broken)).Answers("Get", () => Task.FromException<SessionInfo>(broken)).Answers("Get", () => Task.FromResult(Info));
        Assert.Equal(Info, await _calls.Get(Key, Token));
        Assert.Equal(3, _script.Calls.Count);
    }

    [Fact]
    public async Task Get_NeverAnswered_IsLeftAndMadeAgain()
    {
        _script.Answers("Get", () => new TaskCompletionSource<SessionInfo>().Task).Answers("Get", () => Task.FromResult(Info));
        Assert.Equal(Info, await _calls.Get(Key, Token));
        Assert.Contains(_options.Silence, _time.Waits);
    }

    [Fact]
    public async Task Create_NeverAnswered_IsLeftAndMadeAgain()
    {
        _script.Answers("Create", () => new TaskCompletionSource<SessionInfo>().Task).Answers("Create", () => Task.FromResult(Info));
        Assert.Equal(Info, await _calls.Create(Key, new SessionSpec(), Token));
        Assert.Equal(2, _script.Calls.Count);
    }

    [Fact]
    public async Task ListTurns_TriesUsedUp_IsUnavailableAndNamesNoAddress()
    {
        for (int i = 0; i < 4; i++)
        {
            _script.Answers("ListTurns", () => Task.FromException<TurnPage>(new SiloUnavailableException("10.0.0.7")));
        }

        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => _calls.ListTurns(Key, 0, 10, Token));
        Assert.Equal(ErrorCode.Unavailable, refused.Code);
        Assert.DoesNotContain("10.0.0.7", refused.Message, StringComparison.Ordinal);
        Assert.Equal(4, _script.Calls.Count);
    }

    [Fact]
    public async Task Get_Refused_IsToldAtOnce()
    {
        _script.Answers("Get", () => Task.FromException<SessionInfo>(new RefusedException(ErrorCode.NotFound, "no")));
        Assert.Equal(ErrorCode.NotFound, (await Assert.ThrowsAsync<RefusedException>(() => _calls.Get(Key, Token))).Code);
    }

    [Fact]
    public async Task Get_CallerLeaves_EndsAtOnce()
    {
        using CancellationTokenSource left = new();
        left.Cancel();
        _script.Answers("Get", () => Task.FromCanceled<SessionInfo>(left.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _calls.Get(Key, left.Token));
        Assert.Single(_script.Calls);
    }

    [Fact]
    public async Task Delete_NotFoundAfterALostTry_IsDone()
    {
        _script.Answers("Delete", () => Task.FromException(new TimeoutException())).Answers("Delete", NotFound);
        await _calls.Delete(Key, Token);
        _script.Answers("Delete", NotFound);
        Assert.Equal(ErrorCode.NotFound, (await Assert.ThrowsAsync<RefusedException>(() => _calls.Delete(Key, Token))).Code);
    }

    [Fact]
    public async Task Delete_NotFoundAfterARefusal_WasNotDeletedByIt()
    {
        _script.Answers("Delete", () => Task.FromException(new RefusedException(ErrorCode.Unavailable, "The session is moving."))).Answers("Delete", NotFound);
        Assert.Equal(ErrorCode.NotFound, (await Assert.ThrowsAsync<RefusedException>(() => _calls.Delete(Key, Token))).Code);
    }

    [Fact]
    public async Task Delete_NotAnsweredForAsLongAsAnAnswerMayTake_IsNotMadeAgain()
    {
        _script.Answers("Delete", () =>
        {
            _time.Pass(new GatewayOptions().ResponseTimeout);
            return Task.FromException(new TimeoutException());
        });
        Assert.Equal(ErrorCode.Unavailable, (await Assert.ThrowsAsync<RefusedException>(() => _calls.Delete(Key, Token))).Code);
        Assert.Single(_script.Calls);
    }

    [Fact]
    public async Task Fork_NewIdThereAfterALostTry_IsThatCopy()
    {
        _script.Answers("Fork", Lost(new TimeoutException())).Answers("Fork", Exists).Answers("Get", () => Task.FromResult(Info));
        Assert.Equal(Info, await _calls.Fork(Key, "", 0, Token));
        string made = _script.Calls[0].Split(' ')[2];
        Assert.Equal([$"one/s Fork {made} 0", $"one/s Fork {made} 0", $"one/{made} Get"], _script.Calls);
    }

    [Fact]
    public async Task Fork_CallersIdThereAfterALostTry_IsSaidToBeUncertain()
    {
        _script.Answers("Fork", Lost(new TimeoutException())).Answers("Fork", Exists);
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => _calls.Fork(Key, "copy", 0, Token));
        Assert.Equal(ErrorCode.Unavailable, refused.Code);
        Assert.Contains("'copy' exists", refused.Message, StringComparison.Ordinal);
        _script.Answers("Fork", Exists);
        Assert.Equal(ErrorCode.AlreadyExists, (await Assert.ThrowsAsync<RefusedException>(() => _calls.Fork(Key, "copy", 0, Token))).Code);
    }

    [Fact]
    public async Task Rewind_Lost_IsNotMadeAgain()
    {
        _script.Answers("Rewind", Lost(new SiloUnavailableException("10.0.0.7")));
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => _calls.Rewind(Key, 1, Token));
        Assert.Equal((ErrorCode.Unavailable, 1), (refused.Code, _script.Calls.Count));
        Assert.Contains("not known", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(FinishReason.Cancelled, true)]
    [InlineData(FinishReason.Stop, false)]
    public async Task Cancel_FinishedAfterALostTry_IsTrueWhenItWasStopped(FinishReason reason, bool stopped)
    {
        _script.Answers("Cancel", Lost<bool>(new TimeoutException())).Answers("Cancel", () => Task.FromResult(false)).Answers("Get", () => Task.FromResult(Info))
            .Answers("ListTurns", () => Task.FromResult(new TurnPage([Turn(reason)], false)));
        Assert.Equal(stopped, await _calls.Cancel(Key, "t", Token));
        Assert.Equal("one/s ListTurns 1 1", _script.Calls[^1]);
    }

    [Fact]
    public async Task Cancel_TurnBeginsAgainElsewhere_IsStoppedThere()
    {
        _script.Answers("Cancel", Lost<bool>(new TimeoutException())).Answers("Cancel", () => Task.FromException<bool>(new RefusedException(ErrorCode.NotFound, "no turn")))
            .Answers("Cancel", () => Task.FromResult(true));
        Assert.True(await _calls.Cancel(Key, "t", Token));
    }

    [Fact]
    public async Task Cancel_TurnThatNeverWas_IsNotFoundUnlessANodeWasLost()
    {
        _script.Answers("Cancel", Lost<bool>(new RefusedException(ErrorCode.Unavailable, "The session is moving."))).Answers("Cancel", Lost<bool>(new RefusedException(ErrorCode.NotFound, "no turn")));
        Assert.Equal(ErrorCode.NotFound, (await Assert.ThrowsAsync<RefusedException>(() => _calls.Cancel(Key, "t", Token))).Code);
    }

    [Fact]
    public async Task Cancel_TurnMissingAfterALostTry_IsSaidToBeUncertainAfterAFewTries()
    {
        _options.Attempts = 12;
        _script.Answers("Cancel", Lost<bool>(new TimeoutException()));
        for (int i = 0; i < 4; i++)
        {
            _script.Answers("Cancel", Lost<bool>(new RefusedException(ErrorCode.NotFound, "no turn")));
        }

        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => _calls.Cancel(Key, "t", Token));
        Assert.Equal((ErrorCode.Unavailable, 5), (refused.Code, _script.Calls.Count));
        Assert.Contains("not known", refused.Message, StringComparison.Ordinal);
    }

    private static Func<object> Lost(Exception error) => Lost<SessionInfo>(error);

    private static Func<object> Lost<T>(Exception error) => () => Task.FromException<T>(error);

    private static Task NotFound() => Task.FromException(new RefusedException(ErrorCode.NotFound, "no"));

    private static Task<SessionInfo> Exists() => Task.FromException<SessionInfo>(new RefusedException(ErrorCode.AlreadyExists, "exists"));

    private static Turn Turn(FinishReason reason) => new()
    {
        TurnId = "t",
        Index = 2,
        Prompt = "hello",
        Images = [],
        Text = "",
        FinishReason = reason,
        Usage = new Usage { PromptTokens = 1, CompletionTokens = 1, ImageTokens = 0, TimeToFirstTokenMs = 0, PrefillMs = 0, DecodeMs = 0 },
        Provenance = new Provenance { Source = CacheSource.New, TokensReused = 0, TokensReplayed = 0, Ms = 0, Bytes = 0, Node = "n" },
        CommitTime = DateTimeOffset.UnixEpoch,
    };
}
