using System.Text;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Silo.Snapshots;
using FlowMM.Silo.Store;
using Orleans.Runtime;

namespace FlowMM.Silo.Sessions;

/// <summary>Has an accepted turn answered by the engine, and makes its record. Knows nothing of who owns the session.</summary>
internal sealed class TurnRunner(ISessionStore store, InferenceEngine engine, ILocalSiloDetails node, TimeProvider time)
{
    /// <summary>Runs a turn to its end, or until it is frozen, and tells its text to the log.</summary>
    /// <param name="turn">The turn.</param>
    /// <param name="log">Who listens to it; its cancellation ends the answer early.</param>
    /// <exception cref="RefusedException">The engine refused the turn, or ended without an answer.</exception>
    public async Task<TurnOutcome> Answer(TurnStart turn, TurnLog log)
    {
        StringBuilder text = new();
        List<int> ids = [];
        int tokens = 0, shown = 0;
        List<TokenLogprob>? logprobs = turn.Accepted.Sampling.Logprobs is null ? null : [];
        await foreach (EngineEvent happened in engine.Generate(Input(turn), log.Cancellation.Token))
        {
            if (happened is TokenEvent said)
            {
                ids.Add(said.Id);
                tokens++;
                if (said.Scores is { } scores)
                {
                    logprobs?.Add(Logprob(scores));
                }
            }

            string more = happened switch { TokenEvent token => token.Text, EndEvent end => end.Text, _ => "" };
            if (more.Length > 0)
            {
                log.Add(new TextDelta { Offset = text.Length, Text = more, Tokens = tokens, Ids = [.. ids], Logprobs = logprobs?[shown..] });
                text.Append(more);
                ids.Clear();
                shown = logprobs?.Count ?? 0;
            }

            switch (happened)
            {
                case TokenEvent when tokens > turn.Progress.Ids.Count:
                    turn.GoneOn.TrySetResult();
                    break;
                case FrozenEvent frozen:
                    return new TurnOutcome(null, frozen);
                case EndEvent ended:
                    CheckBegun(turn.Accepted, ended);
                    turn.GoneOn.TrySetResult();
                    return new TurnOutcome(Record(turn, ended, new(text.ToString(), logprobs, (await turn.Bringing).Refused)), null);
            }
        }

        throw Interrupted(turn.Accepted);
    }

    /// <summary>What listeners are told of a turn that did not come to its end.</summary>
    public static RefusedException Interrupted(AcceptedTurn turn) =>
        new(ErrorCode.Unavailable, $"Turn '{turn.TurnId}' was interrupted; retry it under the same id.");

    /// <summary>A turn whose time passed before it said anything is as if it had never been.</summary>
    private static void CheckBegun(AcceptedTurn turn, EndEvent ended)
    {
        if (ended is { Reason: FinishReason.DeadlineExceeded, Ids.Count: 0 })
        {
            throw new RefusedException(
                ErrorCode.DeadlineExceeded, $"The {turn.Timeout!.Value.TotalMilliseconds:F0} ms of turn '{turn.TurnId}' passed before its first token; it was withdrawn.");
        }
    }

    private TurnInput Input(TurnStart turn) => new()
    {
        Session = turn.Key.ToString(),
        Tenant = turn.Key.Tenant,
        History = turn.Accepted.Reset ? [] : Conversation.History(turn.Session.Turns),
        Prompt = Conversation.Run(turn.Accepted),
        Sampling = SamplingPlan.From(turn.Accepted.Sampling),
        Progress = turn.Progress,
        Priority = turn.Accepted.Priority,
        Timeout = turn.Accepted.Timeout,
        LoadImage = (hash, _) => Image(turn, hash),
        Ready = turn.Bringing,
    };

    private TurnRecord Record(TurnStart turn, EndEvent end, Told told) => new()
    {
        Accepted = turn.Accepted,
        AnswerIds = end.Ids,
        Turn = new Turn
        {
            TurnId = turn.Accepted.TurnId,
            Index = turn.Session.Turns.Count + 1,
            Prompt = string.Join('\n', turn.Accepted.Parts.Where(p => p.Text is not null).Select(p => p.Text)),
            Images = [.. turn.Accepted.Parts.Where(p => p.Image is not null).Select(p => p.Image!)],
            Text = told.Text,
            FinishReason = end.Reason,
            Usage = end.Usage,
            Provenance = end.Provenance with { Node = node.Name, SnapshotRefused = told.Refused ?? "" },
            Compression = end.Compression,
            CommitTime = time.GetUtcNow(),
            Logprobs = told.Logprobs,
        },
    };

    private TokenLogprob Logprob(TokenScores scores) => new(Score((scores.Id, scores.Logprob)), [.. scores.Top.Select(Score)]);

    private TokenScore Score((int Id, double Logprob) token) => new(token.Id, engine.Model.Tokenizer.Decode([token.Id]), token.Logprob);

    private async Task<ReadOnlyMemory<byte>> Image(TurnStart turn, string hash) =>
        turn.Images.FirstOrDefault(i => i.Hash == hash)?.Data
        ?? await store.LoadImage(turn.Key, hash)
        ?? throw new RefusedException(ErrorCode.FailedPrecondition, $"Picture {hash} of this session is not in the store.");

    /// <summary>What the log was told of an answer, and why its cache was not taken.</summary>
    private sealed record Told(string Text, IReadOnlyList<TokenLogprob>? Logprobs, string? Refused);
}

/// <summary>A turn that is to be run.</summary>
/// <param name="Key">Its session.</param>
/// <param name="Session">The session before it.</param>
/// <param name="Accepted">The turn as it is on record.</param>
/// <param name="Images">Pictures that came with it, so that they need not be read from the store.</param>
/// <param name="Progress">How far it came before.</param>
/// <param name="Bringing">Ends when the session's cache is here, or will not be.</param>
internal sealed record TurnStart(
    SessionKey Key, SessionRecord Session, AcceptedTurn Accepted, IReadOnlyList<ImmutableBytes> Images, TurnProgress Progress, Task<Restoration> Bringing)
{
    /// <summary>Done when the first token beyond <see cref="Progress"/> is there, or the end.</summary>
    public TaskCompletionSource GoneOn { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>What running a turn came to: one of the two.</summary>
/// <param name="Record">Its record, when it ended.</param>
/// <param name="Frozen">How it can go on, when it was frozen.</param>
internal sealed record TurnOutcome(TurnRecord? Record, FrozenEvent? Frozen);
