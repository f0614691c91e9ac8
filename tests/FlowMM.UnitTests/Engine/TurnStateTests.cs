using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>Turns whose beginning is odd: frozen while they wait, with a damaged state, after a merged prompt. None of them stops the engine.</summary>
public sealed class TurnStateTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Freeze_WhileItWaits_KeepsWhatItWasFrozenWith()
    {
        TurnInput turn = Turn("moved", 110, new() { Method = "flowmm", BudgetRatio = 0.3 });
        using InferenceEngine straight = Start(), first = Start(), full = Start(running: 1), last = Start();
        EndEvent whole = await Run(straight, turn);
        FrozenEvent frozen = await FreezeRunning(first, turn);
        await using IAsyncEnumerator<EngineEvent> busy = full.Generate(Turn("busy", 3000, new() { Method = "full" }), Cancelled).GetAsyncEnumerator(Cancelled);
        Assert.True(await busy.MoveNextAsync());
        Assert.True(await full.Receive(turn.Session, frozen.Image!, new CacheArrival(CacheSource.Migrated, 7, 1), Cancelled));
        await using IAsyncEnumerator<EngineEvent> waiting = full.Generate(turn with { Progress = frozen.Progress }, Cancelled).GetAsyncEnumerator(Cancelled);
        ValueTask<bool> next = waiting.MoveNextAsync();
        while (!await full.Freeze(turn.Session, Cancelled))
        {
            await Task.Delay(1, Cancelled);
        }

        Assert.True(await next);
        FrozenEvent again = Assert.IsType<FrozenEvent>(waiting.Current);
        Assert.Equal(frozen.Progress.Ids, again.Progress.Ids);
        Assert.Equal(frozen.Progress.State!.Scores.Count, again.Progress.State!.Scores.Count);
        Assert.Equal((frozen.Progress.State.Held, frozen.Progress.State.Compression), (again.Progress.State.Held, again.Progress.State.Compression));
        Assert.NotNull(again.Progress.State.Tail);

        Assert.True(await last.Receive(turn.Session, again.Image!, new CacheArrival(CacheSource.Migrated, 7, 1), Cancelled));
        EndEvent end = await Run(last, turn with { Progress = again.Progress });
        Assert.Equal(whole.Ids, end.Ids);
        Assert.Equal(whole.Scores!.Select(s => s.Logprob), end.Scores!.Select(s => s.Logprob));
        Assert.Equal(whole.Compression!.BytesAfter, end.Compression!.BytesAfter);
    }

    [Fact]
    public async Task Generate_StateOfAnotherModel_FailsThatTurnAlone()
    {
        TurnInput turn = Turn("moved", 110, new() { Method = "flowmm", BudgetRatio = 0.3 });
        using InferenceEngine first = Start(), other = Start();
        FrozenEvent frozen = await FreezeRunning(first, turn);
        Assert.True(await other.Receive(turn.Session, frozen.Image!, new CacheArrival(CacheSource.Migrated, 7, 1), Cancelled));
        TurnState damaged = frozen.Progress.State! with { Tail = frozen.Progress.State!.Tail! with { Recent = [] } };
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Run(other, turn with { Progress = frozen.Progress with { State = damaged } }));
        Assert.Equal(ErrorCode.Unavailable, refused.Code);
        await Run(other, Turn("another", 5, new() { Method = "full" }));
        await Run(other, turn);
        await other.CheckIntegrity(Cancelled);
    }

    [Fact]
    public async Task Generate_BeginsInsideWhatIsMerged_ReadsItAnew()
    {
        TurnInput merged = Turn("reset", 20, new() { Method = "flowmm", BudgetRatio = 0.3 });
        using InferenceEngine engine = Start(), fresh = Start();
        EndEvent first = await Run(engine, merged);
        TurnInput next = merged with { Prompt = merged.Prompt with { Ids = [.. merged.Prompt.Ids, .. first.Ids, .. Enumerable.Range(200, 30)], Merging = MergingPlan.From(new() { Method = "full" }) } };
        EndEvent answer = await Run(engine, next);
        Assert.Equal((await Run(fresh, next)).Ids, answer.Ids);
        await engine.CheckIntegrity(Cancelled);
    }

    private static async Task<FrozenEvent> FreezeRunning(InferenceEngine engine, TurnInput turn)
    {
        for (int attempt = 0; attempt < 20; attempt++)
        {
            int tokens = 0;
            await foreach (EngineEvent happened in engine.Generate(turn, Cancelled))
            {
                if (happened is TokenEvent && ++tokens == 3)
                {
                    await engine.Freeze(turn.Session, Cancelled);
                }

                if (happened is FrozenEvent { Image: not null, Progress.State.Tail: not null } frozen)
                {
                    return frozen;
                }
            }
        }

        throw new InvalidOperationException("The turn always ended before it was frozen.");
    }

    private static InferenceEngine Start(int running = 8) => new(
        TinyModel.Model, new EngineOptions { CacheBytes = 1 << 26, PrefillChunk = 64, MaxRunning = running }, NullLogger<InferenceEngine>.Instance);

    private static TurnInput Turn(string session, int tokens, MergingOptions merging)
    {
        // The penalty on what the prompt holds keeps the end away.
        TurnInput turn = Sequences.Input(session, 150, merging, new() { Temperature = 1.5, Seed = 11, MaxTokens = tokens, RepetitionPenalty = 10, Logprobs = 2 });
        return turn with
        {
            Prompt = turn.Prompt with
            {
                Ids = [.. TinyModel.Model.EndIds, .. turn.Prompt.Ids.Skip(TinyModel.Model.EndIds.Count)],
                Merging = turn.Prompt.Merging! with { MaxTail = 96 },
            },
        };
    }

    private static async Task<EndEvent> Run(InferenceEngine engine, TurnInput input)
    {
        EndEvent? end = null;
        await foreach (EngineEvent happened in engine.Generate(input, Cancelled))
        {
            end = happened as EndEvent ?? end;
        }

        return end ?? throw new InvalidOperationException("The engine ended a turn without saying so.");
    }
}
