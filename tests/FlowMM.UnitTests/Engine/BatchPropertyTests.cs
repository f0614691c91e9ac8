using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Engine;

/// <summary>
/// Who else runs never changes a turn's tokens: budgets, arrivals, cancels, and memory that is too small for all at once. Nor does drafting: what
/// is compared with was generated alone and without.
/// </summary>
[Properties(Arbitrary = [typeof(Loads)], MaxTest = 12)]
public sealed class BatchPropertyTests
{
    private static readonly Lazy<ChatModel> Narrow = new(() =>
        ChatModel.Load(TinyModel.Directory, new LoadSettings { Kernels = new KernelOptions { Weights = WeightType.Int8 } }));

    [Property]
    public Task Generate_InAnyCompany_GivesTheIdsOfAlone(Load load) => Compare(TinyModel.Model, load);

    [Property]
    public Task Generate_Int8InAnyCompany_GivesTheIdsOfAlone(Load load) => Compare(Narrow.Value, load);

    private static async Task Compare(ChatModel model, Load load)
    {
        // One pass for all decoding sequences is what this is about.
        Assert.True(model.RowsAreIndependent);
        IReadOnlyList<int>[] alone = new IReadOnlyList<int>[load.Turns.Length];
        using (InferenceEngine engine = Start(model, load with { MaxRunning = 1, CacheBytes = 1 << 26 }))
        {
            for (int i = 0; i < alone.Length; i++)
            {
                (alone[i], _) = await Run(engine, load.Turns[i] with { CancelAfter = 0, Draft = 0 }, i, null);
            }
        }

        using InferenceEngine shared = Start(model, load);
        List<Task<(IReadOnlyList<int> Ids, FinishReason Reason)>> running = [];
        for (int i = 0; i < alone.Length; i++)
        {
            // The next arrives when this one has had some tokens, or its end.
            TaskCompletionSource next = new(TaskCreationOptions.RunContinuationsAsynchronously);
            running.Add(Run(shared, load.Turns[i], i, next));
            await next.Task;
        }

        for (int i = 0; i < alone.Length; i++)
        {
            (IReadOnlyList<int> ids, FinishReason reason) = await running[i];
            Assert.Equal(alone[i].Take(ids.Count), ids);
            Assert.True(reason == FinishReason.Cancelled || ids.Count == alone[i].Count, $"Turn {i} has {ids.Count} of {alone[i].Count} tokens.");
        }

        await shared.CheckIntegrity(TestContext.Current.CancellationToken);
    }

    private static InferenceEngine Start(ChatModel model, Load load) => new(
        model,
        new EngineOptions { MaxRunning = load.MaxRunning, CacheBytes = load.CacheBytes, PrefillChunk = 64 },
        NullLogger<InferenceEngine>.Instance);

    private static async Task<(IReadOnlyList<int> Ids, FinishReason Reason)> Run(InferenceEngine engine, LoadTurn turn, int index, TaskCompletionSource? next)
    {
        using CancellationTokenSource cancel = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        TurnInput input = Sequences.Input(
            $"{index}",
            turn.Prompt,
            new() { Method = turn.Budget == 0 ? "full" : "flowmm", BudgetRatio = turn.Budget == 0 ? null : turn.Budget, Rounds = 1 },
            new()
            {
                Temperature = turn.Temperature,
                Seed = (ulong)index,
                MaxTokens = turn.Answer,
                RepetitionPenalty = turn.Penalty,
                SpeculateTokens = turn.Draft,
                SpeculateNgram = turn.Ngram,
            }) with
        {
            Priority = turn.Priority,
        };
        int tokens = 0;
        await foreach (EngineEvent happened in engine.Generate(input, cancel.Token))
        {
            tokens++;
            if (tokens == turn.CancelAfter)
            {
                cancel.Cancel();
            }

            if (tokens >= turn.Gap || happened is EndEvent)
            {
                next?.TrySetResult();
            }

            if (happened is EndEvent end)
            {
                return (end.Ids, end.Reason);
            }
        }

        throw new InvalidOperationException("The engine ended a turn without saying so.");
    }

    public sealed record LoadTurn(int Prompt, double Budget, double Temperature, double Penalty, int Answer, int Priority, int Gap, int CancelAfter, int Draft, int Ngram);

    public sealed record Load(LoadTurn[] Turns, int MaxRunning, long CacheBytes)
    {
        public override string ToString() => $"{MaxRunning} of {CacheBytes} bytes: {string.Join("; ", Turns.Select(t => t.ToString()))}";
    }

    public static class Loads
    {
        public static Arbitrary<Load> Load() => (
            from count in Gen.Choose(2, 7)
            from turns in Gen.ArrayOf(Turn(), count)
            from most in Gen.Elements(2, 4, 32)
            from bytes in Gen.Elements(3 << 19, 1 << 21, 1 << 24)
            select new Load(turns, most, bytes)).ToArbitrary();

        private static Gen<LoadTurn> Turn() =>
            from prompt in Gen.Choose(5, 300)
            from budget in Gen.Elements(0, 0, 0.2, 0.5)
            from temperature in Gen.Elements(0.0, 1.5)
            from penalty in Gen.Elements(1, 1.5)
            from answer in Gen.Choose(1, 60)
            from priority in Gen.Elements(0, 0, 1)
            from gap in Gen.Choose(0, 10)
            from cancel in Gen.Elements(0, 0, 1, 7)
            from draft in Gen.Elements(0, 2, 5, 15)
            from ngram in Gen.Choose(1, 4)
            select new LoadTurn(prompt, budget, temperature, penalty, answer, priority, gap, cancel, draft, ngram);
    }
}
