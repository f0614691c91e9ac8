using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>A turn is frozen after each of its steps: in its prompt, at its first token, at every boundary of its stop text, before its last.</summary>
public sealed class FreezeTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Freeze_AfterEachStep_GoesOnElsewhereAsIfNothingWas(bool merged)
    {
        (TurnInput turn, string straight, EndEvent whole) = await StoppedTurn(merged);
        HashSet<int> boundaries = [];
        (bool inPrompt, bool ended) = (false, false);
        for (long step = 1; !ended; step++)
        {
            FrozenEvent? frozen = await FreezeAt(step, turn);
            ended = frozen is null && boundaries.Count > 0;
            if (frozen is null)
            {
                continue;
            }

            boundaries.Add(frozen.Progress.Ids.Count);
            inPrompt |= frozen.Progress.Ids.Count == 0 && frozen.Image is not null;
            using InferenceEngine other = Start(TimeProvider.System);
            if (frozen.Image is { } image)
            {
                Assert.True(await other.Receive(turn.Session, image, new CacheArrival(CacheSource.Migrated, 7, 1), Cancelled));
            }

            (string text, EndEvent end) = await Run(other, turn with { Progress = frozen.Progress });
            Assert.Equal((straight, FinishReason.Stop), (text, end.Reason));
            Assert.Equal(whole.Ids, end.Ids);
            await other.CheckIntegrity(Cancelled);
        }

        // The turn ends with the step of its last token: there is nothing to freeze behind it.
        Assert.Equal(Enumerable.Range(0, whole.Ids.Count), boundaries.Order());
        Assert.True(inPrompt);
    }

    /// <summary>A random answer with a stop text that tokens are split by: its start and its end lie within tokens, a boundary within it.</summary>
    private static async Task<(TurnInput Turn, string Text, EndEvent End)> StoppedTurn(bool merged)
    {
        MergingOptions merging = merged ? new() { Method = "flowmm", BudgetRatio = 0.3 } : new() { Method = "full" };
        for (ulong seed = 11; seed < 60; seed++)
        {
            TurnInput turn = Sequences.Input("frozen", 150, merging, new() { Temperature = 1.5, Seed = seed, MaxTokens = 40, RepetitionPenalty = 10 }) with { Timeout = TimeSpan.FromHours(1) };
            using InferenceEngine engine = Start(TimeProvider.System);
            (string text, EndEvent end) = await Run(engine, turn);
            if (end.Reason == FinishReason.Length && text.Length > 60)
            {
                string stop = text[(text.Length / 2)..((text.Length / 2) + 9)];
                turn = turn with { Sampling = turn.Sampling with { Stop = [stop] } };
                (text, end) = await Run(engine, turn);
                Assert.Equal(FinishReason.Stop, end.Reason);
                return (turn, text, end);
            }
        }

        throw new InvalidOperationException("No answer lasts for 40 tokens.");
    }

    /// <summary>Runs a turn and freezes it right after a step of the engine.</summary>
    /// <returns>Null when no such step is the turn's.</returns>
    private static async Task<FrozenEvent?> FreezeAt(long step, TurnInput turn)
    {
        EngineClock clock = new();
        using InferenceEngine engine = Start(clock);
        int asked = 0;
        clock.Asked = () =>
        {
            // The engine asks for the time in each step, and takes orders behind it.
            if (engine.Steps == step && Interlocked.Exchange(ref asked, 1) == 0)
            {
                _ = engine.Freeze(turn.Session, CancellationToken.None);
            }
        };
        FrozenEvent? frozen = null;
        await foreach (EngineEvent happened in engine.Generate(turn, Cancelled))
        {
            frozen = happened as FrozenEvent ?? frozen;
        }

        await engine.CheckIntegrity(Cancelled);
        return frozen;
    }

    private static InferenceEngine Start(TimeProvider time) => new(
        TinyModel.Model, new EngineOptions { CacheBytes = 1 << 26, PrefillChunk = 64 }, time, NullLogger<InferenceEngine>.Instance);

    private static async Task<(string Text, EndEvent End)> Run(InferenceEngine engine, TurnInput turn)
    {
        string text = "";
        await foreach (EngineEvent happened in engine.Generate(turn, Cancelled))
        {
            text += happened switch { TokenEvent token => token.Text, EndEvent end => end.Text, _ => "" };
            if (happened is EndEvent ended)
            {
                return (text, ended);
            }
        }

        throw new InvalidOperationException("The engine ended a turn without saying so.");
    }

    private sealed class EngineClock : TimeProvider
    {
        public Action? Asked { get; set; }

        public override long GetTimestamp()
        {
            Asked?.Invoke();
            return base.GetTimestamp();
        }
    }
}
