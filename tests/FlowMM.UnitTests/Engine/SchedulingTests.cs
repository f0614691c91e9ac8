using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>Who runs, who waits and who leaves: on the engine, with the shipped model.</summary>
public sealed class SchedulingTests
{
    private const string What = "What is in the image?";

    // Random text with a penalty on the end token, which stands in the prompt: answers grow long.
    private static readonly SamplingOptions Long = new() { Temperature = 2, RepetitionPenalty = 10, MaxTokens = 400 };

    [Fact]
    public async Task Generate_MemoryFull_RunningTurnsLeaveAndGoOnAsAlone()
    {
        using InferenceEngine roomy = Start(new()), tight = Start(new() { CacheBytes = 3 << 19 });
        List<EndEvent> alone = [];
        for (ulong seed = 0; seed < 16; seed++)
        {
            alone.Add((await new EngineSession(roomy, $"{seed}").Ask(What, TinyModel.Picture("garment-039"), Long with { Seed = seed })).End);
        }

        (string, EndEvent End)[] together = await Task.WhenAll(Enumerable.Range(0, 16).Select(seed =>
            new EngineSession(tight, $"{seed}").Ask(What, TinyModel.Picture("garment-039"), Long with { Seed = (ulong)seed })));
        Assert.Equal(alone.Select(e => e.Ids), together.Select(t => t.End.Ids));
        Assert.NotEqual(0, tight.Preemptions);
        Assert.Equal(0, roomy.Preemptions);
        await tight.CheckIntegrity(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Generate_HigherPriority_TakesThePlaceOfLower()
    {
        using InferenceEngine engine = Start(new() { MaxRunning = 1 });
        TurnInput low = new EngineSession(engine, "low").Input(What, TinyModel.Picture("garment-039"), Long);
        EndEvent alone = await Finish(engine, low);
        await engine.Forget("low", TestContext.Current.CancellationToken);
        TaskCompletionSource started = new();
        List<string> ended = [];
        async Task<EndEvent> Run(TurnInput input, bool tell)
        {
            await foreach (EngineEvent happened in engine.Generate(input, TestContext.Current.CancellationToken))
            {
                if (tell)
                {
                    started.TrySetResult();
                }

                if (happened is EndEvent end)
                {
                    lock (ended)
                    {
                        ended.Add(input.Session);
                    }

                    return end;
                }
            }

            throw new InvalidOperationException("The engine ended a turn without saying so.");
        }

        Task<EndEvent> slow = Task.Run(() => Run(low, true));
        await started.Task;
        TurnInput high = new EngineSession(engine, "high").Input(What, TinyModel.Picture("shape-016"), new() { MaxTokens = 4 }) with { Priority = 1 };
        await Run(high, false);
        EndEvent end = await slow;
        Assert.Equal(["high", "low"], ended);
        Assert.Equal(alone.Ids, end.Ids);
        Assert.Equal(1, engine.Preemptions);
    }

    [Fact]
    public async Task Generate_TimePassed_EndsWithWhatItHas()
    {
        ManualTime time = new();
        using InferenceEngine engine = new(TinyModel.Model, new(), time, NullLogger<InferenceEngine>.Instance);
        TurnInput input = new EngineSession(engine, "a").Input(What, TinyModel.Picture("garment-039"), Long) with { Timeout = TimeSpan.FromSeconds(5) };
        List<EngineEvent> events = [];
        await foreach (EngineEvent happened in engine.Generate(input, TestContext.Current.CancellationToken))
        {
            time.Advance(TimeSpan.FromSeconds(6));
            events.Add(happened);
        }

        EndEvent end = Assert.IsType<EndEvent>(events[^1]);
        Assert.Equal(FinishReason.DeadlineExceeded, end.Reason);
        Assert.Equal(events.OfType<TokenEvent>().Select(t => t.Id), end.Ids);
        Assert.InRange(end.Ids.Count, 1, 399);
    }

    [Fact]
    public void Schedule_Cancelled_LeavesWithinOneStep()
    {
        using KvMemory memory = TinyModel.Model.NewMemory(1 << 22);
        using ResidentSessions sessions = new(memory, 0, TimeProvider.System);
        using StepRunner runner = new(TinyModel.Model, new(), sessions);
        Scheduler scheduler = new(8, sessions, new Admission(TinyModel.Model, new(), sessions, runner.NewMerging));
        Sequence first = Sequences.Of("first", 100), second = Sequences.Of("second", 100);
        scheduler.Add(first);
        scheduler.Add(second);
        Batch batch = scheduler.Schedule();
        Assert.Same(first, batch.Prefilling);
        runner.Prefill(first);
        first.Cancelled = true;
        batch = scheduler.Schedule();
        Assert.Equal((1, 0), (scheduler.Running, scheduler.Waiting));
        Assert.Same(second, batch.Prefilling);
        Assert.False(sessions.Find("first")!.Busy);
        Assert.True(first.Events.TryRead(out EngineEvent? end));
        Assert.Equal(FinishReason.Cancelled, Assert.IsType<EndEvent>(end).Reason);
        scheduler.FailAll(new InvalidOperationException());
    }

    [Fact]
    public void Schedule_TwoPrompts_TakeTurnsAndDecodingNeverWaits()
    {
        using KvMemory memory = TinyModel.Model.NewMemory(1 << 22);
        using ResidentSessions sessions = new(memory, 0, TimeProvider.System);
        using StepRunner runner = new(TinyModel.Model, new() { PrefillChunk = 64 }, sessions);
        Scheduler scheduler = new(8, sessions, new Admission(TinyModel.Model, new(), sessions, runner.NewMerging));
        Sequence small = Sequences.Of("small", 60);
        scheduler.Add(small);
        small.Push(runner.Prefill(scheduler.Schedule().Prefilling!)!.Value, new HashSet<int>(), false);
        Sequence[] large = [Sequences.Of("one", 300), Sequences.Of("two", 200)];
        Array.ForEach(large, scheduler.Add);
        List<string> prefilled = [];
        for (int step = 0; step < 9; step++)
        {
            Batch batch = scheduler.Schedule();
            Assert.Contains(small, batch.Decoding);
            prefilled.Add(batch.Prefilling!.Input.Session);
            runner.Prefill(batch.Prefilling);
        }

        Assert.Equal(["one", "two", "one", "two", "one", "two", "one", "two", "one"], prefilled);
        scheduler.FailAll(new InvalidOperationException());
    }

    [Fact]
    public async Task Generate_TwentyPercentBudgets_FitFourTimesAsManySessions()
    {
        // Room for eight full prompts of 1,000 tokens; a prompt is whole until it has been read.
        long room = 8 * 1024 * TinyModel.Model.CacheShape.BytesPerToken(TinyModel.Model.Dtype);
        Dictionary<string, int> fit = [];
        foreach (string method in (string[])["full", "flowmm"])
        {
            using InferenceEngine engine = Start(new() { CacheBytes = room });
            int sessions = 0;
            while (engine.BytesOf("0").Host == 0)
            {
                await Finish(engine, Sequences.Input($"{sessions++}", 1000, new() { Method = method, BudgetRatio = 0.2, Rounds = 1 }));
            }

            fit[method] = sessions - 1;
            await engine.CheckIntegrity(TestContext.Current.CancellationToken);
        }

        Assert.InRange(fit["full"], 7, 8);
        Assert.InRange(fit["flowmm"], 4 * fit["full"], 5 * fit["full"]);
    }

    [Fact]
    public void All_SessionOfATurn_IsBusyAndThenIdle()
    {
        ManualTime time = new();
        using KvMemory memory = TinyModel.Model.NewMemory(1 << 22);
        using ResidentSessions sessions = new(memory, 0, time);
        using StepRunner runner = new(TinyModel.Model, new(), sessions);
        Scheduler scheduler = new(8, sessions, new Admission(TinyModel.Model, new(), sessions, runner.NewMerging));
        Sequence turn = Sequences.Of("one", 100);
        scheduler.Add(turn);
        runner.Prefill(scheduler.Schedule().Prefilling!);
        time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(("one", true, TimeSpan.Zero), sessions.All.Select(s => (s.Session, s.Busy, s.Idle)).Single());
        turn.Cancelled = true;
        scheduler.Schedule();
        time.Advance(TimeSpan.FromSeconds(7));
        ResidentCache idle = Assert.Single(sessions.All);
        Assert.Equal((false, TimeSpan.FromSeconds(7), sessions.BytesOf("one")), (idle.Busy, idle.Idle, idle.Bytes));
        Assert.True(idle.Bytes.Device > 0);
    }

    private static InferenceEngine Start(EngineOptions options) => new(TinyModel.Model, options, NullLogger<InferenceEngine>.Instance);

    private static async Task<EndEvent> Finish(InferenceEngine engine, TurnInput input)
    {
        EndEvent? end = null;
        await foreach (EngineEvent happened in engine.Generate(input, TestContext.Current.CancellationToken))
        {
            end = happened as EndEvent;
        }

        return end!;
    }
}
