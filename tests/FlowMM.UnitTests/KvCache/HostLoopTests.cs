using System.Collections.Concurrent;
using FlowMM.KvCache;
using Xunit;

namespace FlowMM.UnitTests.Merging;

public sealed class HostLoopTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1000)]
    public void For_AnyCount_TakesEachItemOnceAndEndsWhatItStarted(int count)
    {
        int[] taken = new int[count];
        int open = 0;
        HostLoop.For(count, () => Interlocked.Increment(ref open), (item, _) => Interlocked.Increment(ref taken[item]), _ => Interlocked.Decrement(ref open));
        Assert.All(taken, n => Assert.Equal(1, n));
        Assert.Equal(0, open);
    }

    [Fact]
    public void For_WithinItemsThatHaveAllProcessors_StaysOnItsThread()
    {
        int processors = Environment.ProcessorCount;
        using Barrier all = new(processors);
        ConcurrentBag<(int Outer, int Inner)> threads = [];
        HostLoop.ForLarge(processors, processors, () => 0, (_, _) =>
        {
            int outer = Environment.CurrentManagedThreadId;
            HostLoop.For(50, _ => threads.Add((outer, Environment.CurrentManagedThreadId)));

            // Until here no thread has run out of items.
            all.SignalAndWait(TestContext.Current.CancellationToken);
        }, _ => { });
        Assert.Equal(50 * processors, threads.Count);
        Assert.All(threads, t => Assert.Equal(t.Outer, t.Inner));
    }

    [Fact]
    public void ForLarge_AnItemFails_ThrowsAndEndsWhatItStarted()
    {
        int open = 0;
        AggregateException error = Assert.Throws<AggregateException>(() => HostLoop.ForLarge(
            100,
            2,
            () => Interlocked.Increment(ref open),
            (item, _) => throw new InvalidDataException($"{item}"),
            _ => Interlocked.Decrement(ref open)));
        Assert.All(error.InnerExceptions, e => Assert.IsType<InvalidDataException>(e));
        Assert.Equal(0, open);
    }

    [Fact]
    public void For_AfterAFailedOne_SharesOutAgain()
    {
        _ = Assert.ThrowsAny<Exception>(() => HostLoop.ForLarge(1, 1, () => 0, (_, _) => throw new InvalidDataException(), _ => { }));
        int sum = 0;
        HostLoop.For(10, item => Interlocked.Add(ref sum, item));
        Assert.Equal(45, sum);
    }
}
