using FlowMM.Abstractions;
using FlowMM.Gateway.Calls;
using FlowMM.Gateway.Hosting;
using FlowMM.Gateway.Streams;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Xunit;

namespace FlowMM.UnitTests.Gateway.Calls;

/// <summary>How long a question is waited for, try by try.</summary>
public sealed class RepeatedCallsTests
{
    private readonly EagerTime _time = new();
    private readonly FailoverOptions _options = new() { FirstDelay = TimeSpan.FromMilliseconds(1), MostDelay = TimeSpan.FromMilliseconds(1) };
    private readonly List<CancellationToken> _left = [];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Ask_NeverAnswered_WaitsTwiceAsLongUpToSixteenTimes()
    {
        _options.Attempts = 7;
        Assert.Equal(7, await Calls().Ask(SilentFor(7), Token));
        Assert.Equal([2, 4, 8, 16, 32, 32, 32], _time.Waits.Where(w => w >= TimeSpan.FromSeconds(1)).Select(w => w.TotalSeconds));
    }

    [Fact]
    public async Task Ask_LeftTry_IsToldSo()
    {
        await Calls().Ask(SilentFor(2), Token);
        Assert.Equal([true, true, false], _left.Select(t => t.IsCancellationRequested));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public async Task Ask_LastTry_IsWaitedFor(int attempts)
    {
        _options.Attempts = attempts;
        TaskCompletionSource<int> slow = new();
        TaskCompletionSource asked = new();
        int calls = 0;
        Task<int> answer = Calls().Ask(
            _ =>
            {
                if (calls++ == attempts)
                {
                    asked.SetResult();
                    return slow.Task;
                }

                return new TaskCompletionSource<int>().Task;
            },
            Token);
        await asked.Task;
        Assert.Equal(attempts, _time.Waits.Count(w => w >= _options.Silence));
        slow.SetResult(5);
        Assert.Equal(5, await answer);
    }

    [Fact]
    public async Task Ask_NoAttempts_TellsTheFirstBreak()
    {
        _options.Attempts = 0;
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Calls().Ask<int>(_ => throw new TimeoutException(), Token));
        Assert.Equal(ErrorCode.Unavailable, refused.Code);
    }

    [Fact]
    public async Task Repeat_TriesThatBreakForAsLongAsAnAnswerMayTake_AreFollowedByOne()
    {
        int calls = 0;
        await Assert.ThrowsAsync<RefusedException>(() => Calls().Repeat<int>(
            _ =>
            {
                calls++;
                _time.Pass(new GatewayOptions().ResponseTimeout / 2);
                throw new TimeoutException();
            },
            Token));
        Assert.Equal(3, calls);
    }

    private RepeatedCalls Calls() =>
        new(Options.Create(_options), Options.Create(new GatewayOptions()), _time, new Random(7), NullLogger<RepeatedCalls>.Instance);

    /// <summary>Says nothing so many times, and then how many.</summary>
    private Func<CancellationToken, Task<int>> SilentFor(int times) => left =>
    {
        _left.Add(left);
        return _left.Count > times ? Task.FromResult(times) : new TaskCompletionSource<int>().Task;
    };
}
