using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Engine;

/// <summary>A turn that goes on from any token gives what it would have given: ids, text, scores and what merging did.</summary>
public sealed class ProgressTests
{
    private const int Answer = 40;
    private const int LongAnswer = 110;

    // The engine does not wait for who reads: one that reads late still finds such an answer running.
    private const int LastingAnswer = 250;
    private static readonly Lazy<ChatModel> Tensors = new(() => ChatModel.Load(TinyModel.Directory, new LoadSettings { Kernels = new KernelOptions { Enabled = false } }));

    [Theory]
    [InlineData(true, 0.0, false)]
    [InlineData(true, 1.5, false)]
    [InlineData(true, 1.5, true)]
    [InlineData(false, 0.0, false)]
    [InlineData(false, 1.5, true)]
    public async Task Generate_OnAnotherEngineFromAnyToken_GivesWhatFollows(bool kernels, double temperature, bool merged)
    {
        ChatModel model = kernels ? TinyModel.Model : Tensors.Value;
        TurnInput turn = Turn(temperature, merged);
        using InferenceEngine straight = Start(model);
        (string text, EndEvent whole, _) = await Run(straight, turn);
        int answer = merged ? LongAnswer : Answer;
        Assert.Equal(answer, whole.Ids.Count);
        foreach (int said in (int[])[0, 1, 17, answer - 1, answer])
        {
            using InferenceEngine other = Start(model);
            (string again, EndEvent end, int tokens) = await Run(other, turn with { Progress = new() { Ids = [.. whole.Ids.Take(said)] } });
            Assert.Equal(whole.Ids, end.Ids);
            Assert.Equal((text, answer, whole.Reason), (again, tokens, end.Reason));
            Assert.Equal(Scores(whole), Scores(end));
            await other.CheckIntegrity(TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task Generate_WhereTheCacheIs_ComputesOnlyWhatIsNew()
    {
        TurnInput turn = Turn(1.5, merged: false, logprobs: null);
        using InferenceEngine straight = Start(TinyModel.Model);
        (string text, EndEvent whole, _) = await Run(straight, turn);
        foreach (int said in (int[])[1, 17, Answer - 1, Answer])
        {
            long before = straight.Steps;
            (string again, EndEvent end, int tokens) = await Run(straight, turn with { Progress = new() { Ids = [.. whole.Ids.Take(said)] } });
            Assert.Equal(whole.Ids, end.Ids);
            Assert.Equal((text, Answer), (again, tokens));
            Assert.InRange(straight.Steps - before, 0, Answer - said + 3);
            await straight.CheckIntegrity(TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task Generate_BegunAgainWhereItWas_GivesTheSameIds()
    {
        TurnInput turn = Turn(1.5, merged: false);
        using InferenceEngine engine = Start(TinyModel.Model);
        (_, EndEvent first, _) = await Run(engine, turn);
        (_, EndEvent again, _) = await Run(engine, turn);
        Assert.Equal(first.Ids, again.Ids);
        Assert.Equal(Scores(first), Scores(again));
    }

    [Fact]
    public async Task Generate_StopTextAcrossTheBreak_StopsWhereItWould()
    {
        TurnInput turn = Turn(1.5, merged: false, logprobs: null);
        using InferenceEngine engine = Start(TinyModel.Model);
        (string text, _, _) = await Run(engine, turn);
        string stop = text[10..16];
        turn = turn with { Sampling = turn.Sampling with { Stop = [stop] } };
        (string straight, EndEvent whole, _) = await Run(engine, turn);
        Assert.Equal(text[..text.IndexOf(stop, StringComparison.Ordinal)], straight);
        for (int said = 0; said <= whole.Ids.Count; said++)
        {
            using InferenceEngine other = Start(TinyModel.Model);
            (string again, EndEvent end, _) = await Run(other, turn with { Progress = new() { Ids = [.. whole.Ids.Take(said)] } });
            Assert.Equal(whole.Ids, end.Ids);
            Assert.Equal((straight, FinishReason.Stop), (again, end.Reason));
        }
    }

    [Fact]
    public async Task Generate_CancelledBeforeItIsWhereItWas_KeepsWhatWasSaid()
    {
        TurnInput turn = await LastingTurn(TinyModel.Model, merged: false);
        using InferenceEngine engine = Start(TinyModel.Model);
        (_, EndEvent whole, _) = await Run(engine, turn);
        using CancellationTokenSource cancelled = new();
        EndEvent? end = null;
        await foreach (EngineEvent happened in engine.Generate(turn with { Session = "other", Progress = new() { Ids = [.. whole.Ids.Take(20)] } }, cancelled.Token))
        {
            cancelled.Cancel();
            end = happened as EndEvent;
        }

        Assert.Equal(FinishReason.Cancelled, end!.Reason);
        Assert.Equal(whole.Ids.Take(end.Ids.Count), end.Ids);
        Assert.InRange(end.Ids.Count, 20, LastingAnswer - 1);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public async Task Freeze_AtAnyToken_GoesOnElsewhereBitForBit(bool kernels, bool merged)
    {
        ChatModel model = kernels ? TinyModel.Model : Tensors.Value;
        TurnInput turn = await LastingTurn(model, merged);
        using InferenceEngine straight = Start(model);
        (string text, EndEvent whole, _) = await Run(straight, turn);
        Assert.Equal(LastingAnswer, whole.Ids.Count);
        int inItsMiddle = 0;
        foreach (int wait in (int[])[0, 17, LastingAnswer - 2])
        {
            using InferenceEngine one = Start(model);
            FrozenEvent frozen = await FreezeAbout(one, turn, wait);
            inItsMiddle += frozen is { Progress.Ids.Count: > 0, Image: not null } ? 1 : 0;
            Assert.Equal(whole.Ids.Take(frozen.Progress.Ids.Count), frozen.Progress.Ids);
            await one.CheckIntegrity(TestContext.Current.CancellationToken);

            // Here again, and where its cache went.
            (_, EndEvent here, _) = await Run(one, turn with { Progress = frozen.Progress });
            using InferenceEngine other = Start(model);
            if (frozen.Image is not null)
            {
                Assert.True(await other.Receive(turn.Session, frozen.Image, new CacheArrival(CacheSource.Migrated, 7, 1), TestContext.Current.CancellationToken));
            }

            (string again, EndEvent end, int tokens) = await Run(other, turn with { Progress = frozen.Progress });
            Same(whole, here);
            Same(whole, end);
            Assert.Equal((text, whole.Ids.Count), (again, tokens));
            Assert.Equal((whole.Usage.PromptTokens, whole.Usage.CompletionTokens), (end.Usage.PromptTokens, end.Usage.CompletionTokens));
            Assert.Equal(frozen.Image is null ? CacheSource.New : CacheSource.Migrated, end.Provenance.Source);
            Assert.InRange(frozen.Progress.Ids.Count == 0 ? 0 : other.Steps, 0, whole.Ids.Count - frozen.Progress.Ids.Count + 4);
            await other.CheckIntegrity(TestContext.Current.CancellationToken);
        }

        Assert.True(inItsMiddle > 0, "No turn was frozen between its first token and its last.");
    }

    [Fact]
    public async Task Freeze_AgainAndAgainThroughAStopText_StopsWhereItWould()
    {
        TurnInput turn = await LastingTurn(TinyModel.Model, merged: false);
        using InferenceEngine engine = Start(TinyModel.Model);
        (string text, _, _) = await Run(engine, turn);
        string stop = text[^20..^12];
        turn = turn with { Sampling = turn.Sampling with { Stop = [stop] } };
        (string straight, EndEvent whole, _) = await Run(engine, turn);
        Assert.InRange(whole.Ids.Count, LastingAnswer / 2, LastingAnswer);
        HashSet<int> boundaries = [];
        TurnProgress progress = TurnProgress.None;
        for (bool ended = false; !ended;)
        {
            (string again, int waited) = ("", 0);
            await foreach (EngineEvent happened in engine.Generate(turn with { Progress = progress }, TestContext.Current.CancellationToken))
            {
                again += happened switch { TokenEvent token => token.Text, EndEvent end => end.Text, _ => "" };
                switch (happened)
                {
                    case TokenEvent when ++waited > progress.Ids.Count:
                        await engine.Freeze(turn.Session, TestContext.Current.CancellationToken);
                        break;
                    case FrozenEvent frozen:
                        progress = frozen.Progress;
                        boundaries.Add(progress.Ids.Count);
                        break;
                    case EndEvent end:
                        ended = true;
                        Assert.Equal(whole.Ids, end.Ids);
                        Assert.Equal((straight, FinishReason.Stop), (again, end.Reason));
                        Assert.Equal(Scores(whole), Scores(end));
                        break;
                }
            }
        }

        Assert.True(boundaries.Count > 1, $"The turn was frozen at {boundaries.Count} places.");
    }

    [Fact]
    public async Task Misfit_ProgressOfAPeer_IsFoundBeforeTheEngineGoesOnWithIt()
    {
        TurnInput turn = Turn(1.5, merged: true);
        using InferenceEngine engine = Start(TinyModel.Model);
        FrozenEvent? frozen = null;
        for (int at = LongAnswer - 10; frozen is null; at -= 4)
        {
            frozen = await FreezeAfter(engine, turn, at);
        }

        (TurnProgress good, TurnState state) = (frozen.Progress, frozen.Progress.State!);
        Assert.Null(Misfit(good));
        Assert.NotNull(Misfit(good with { Ids = [.. good.Ids.Skip(1), TinyModel.Model.Vocabulary] }));
        Assert.NotNull(Misfit(good with { Ids = [.. Enumerable.Repeat(1, LongAnswer + 1)] }));
        Assert.NotNull(Misfit(good with { State = state with { Held = good.Ids.Count } }));
        Assert.NotNull(Misfit(good with { State = state with { Held = -1 } }));
        Assert.NotNull(Misfit(good with { State = state with { Scores = [.. state.Scores.Take(state.Held)] } }));
        Assert.NotNull(Misfit(good with { State = state with { Scores = [.. state.Scores.Reverse()] } }));
        RingRows ring = state.Tail!.Recent[0];
        foreach (RingRows wrong in (RingRows[])[ring with { Next = ring.Positions.Count }, ring with { Positions = [.. ring.Positions.Skip(1)] }, ring with { Rows = ring.Rows[4..] }])
        {
            Assert.NotNull(Misfit(good with { State = state with { Tail = state.Tail with { Recent = [wrong, .. state.Tail.Recent.Skip(1)] } } }));
        }

        Assert.NotNull(Misfit(good with { State = state with { Tail = state.Tail with { Samples = [.. state.Tail.Samples.Skip(1)] } } }));

        string? Misfit(TurnProgress progress) =>
            progress.Misfit(TinyModel.Model.CacheShape, TinyModel.Model.Vocabulary, turn.Sampling, turn.Prompt.Merging);
    }

    [Fact]
    public async Task Freeze_NoTurn_SaysSo()
    {
        using InferenceEngine engine = Start(TinyModel.Model);
        Assert.False(await engine.Freeze("nobody", TestContext.Current.CancellationToken));
    }

    private static void Same(EndEvent whole, EndEvent resumed)
    {
        Assert.Equal(whole.Ids, resumed.Ids);
        Assert.Equal(Scores(whole), Scores(resumed));
        Assert.Equal((whole.Reason, whole.Compression?.BytesAfter), (resumed.Reason, resumed.Compression?.BytesAfter));
    }

    /// <summary>Freezes a turn after so many tokens; what was too late is tried again a tenth of the answer earlier.</summary>
    private static async Task<FrozenEvent> FreezeAbout(InferenceEngine engine, TurnInput turn, int tokens)
    {
        for (int attempt = 0; attempt < 20; attempt++)
        {
            if (await FreezeAfter(engine, turn, Math.Max(0, tokens - (attempt * LastingAnswer / 10))) is FrozenEvent frozen)
            {
                return frozen;
            }
        }

        throw new InvalidOperationException("The turn ended before it was frozen, each of twenty times.");
    }

    private static async Task<FrozenEvent?> FreezeAfter(InferenceEngine engine, TurnInput turn, int tokens)
    {
        await using IAsyncEnumerator<EngineEvent> events = engine.Generate(turn, TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        ValueTask<bool> next = events.MoveNextAsync();
        while (tokens == 0 && !next.IsCompleted && !await engine.Freeze(turn.Session, TestContext.Current.CancellationToken))
        {
            await Task.Delay(1, TestContext.Current.CancellationToken);
        }

        for (; await next; next = events.MoveNextAsync())
        {
            if (events.Current is FrozenEvent frozen)
            {
                return frozen;
            }

            if (--tokens == 0)
            {
                await engine.Freeze(turn.Session, TestContext.Current.CancellationToken);
            }
        }

        return null;
    }

    private static InferenceEngine Start(ChatModel model) => new(
        model, new EngineOptions { CacheBytes = 1 << 26, PrefillChunk = 64 }, NullLogger<InferenceEngine>.Instance);

    // Of the seeds, these do not draw the end early.
    /// <summary>A turn of the first seed whose answer lasts: how soon an answer ends hangs on what the method keeps.</summary>
    private static async Task<TurnInput> LastingTurn(ChatModel model, bool merged)
    {
        using InferenceEngine engine = Start(model);
        TurnInput turn = Turn(1.5, merged);
        for (ulong seed = 11; seed < 60; seed++)
        {
            TurnInput tried = turn with { Sampling = turn.Sampling with { MaxTokens = LastingAnswer, Seed = seed } };
            if ((await Run(engine, tried)).End.Ids.Count == LastingAnswer)
            {
                return tried;
            }
        }

        throw new InvalidOperationException($"No answer lasts for {LastingAnswer} tokens.");
    }

    private static TurnInput Turn(double temperature, bool merged, int? logprobs = 2)
    {
        TurnInput turn = Sequences.Input(
            "progress",
            150,
            merged ? new() { Method = "flowmm", BudgetRatio = 0.3 } : new() { Method = "full" },
            new() { Temperature = temperature, Seed = 11, MaxTokens = merged ? LongAnswer : Answer, RepetitionPenalty = 10, Logprobs = logprobs });

        // The penalty on what the prompt holds keeps the end away. The decoded tail is merged too, in the middle of the answer.
        TokenRun prompt = turn.Prompt with
        {
            Ids = [.. TinyModel.Model.EndIds, .. turn.Prompt.Ids.Skip(TinyModel.Model.EndIds.Count)],
            Merging = turn.Prompt.Merging! with { MaxTail = 96 },
        };
        return turn with { Prompt = prompt };
    }

    private static async Task<(string Text, EndEvent End, int Tokens)> Run(InferenceEngine engine, TurnInput input)
    {
        (string text, int tokens) = ("", 0);
        await foreach (EngineEvent happened in engine.Generate(input, TestContext.Current.CancellationToken))
        {
            tokens += happened is TokenEvent ? 1 : 0;
            text += happened switch { TokenEvent token => token.Text, EndEvent end => end.Text, _ => "" };
            if (happened is EndEvent ended)
            {
                return (text, ended, tokens);
            }
        }

        throw new InvalidOperationException("The engine ended a turn without saying so.");
    }

    private static IEnumerable<(int, double)> Scores(EndEvent end) => end.Scores!.SelectMany(s => s.Top.Append((s.Id, s.Logprob)));
}
