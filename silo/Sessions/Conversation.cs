using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Store;

namespace FlowMM.Silo.Sessions;

/// <summary>Turns messages into tokens and stored turns into what the engine replays. Pure functions of the record and the request.</summary>
internal sealed class Conversation(ChatModel model, SiloSettings settings)
{
    private readonly PromptBuilder _prompts = new(model);

    /// <summary>Checks a request and makes the record that is stored before any work.</summary>
    /// <exception cref="RefusedException">The request cannot be run; the text says why.</exception>
    public AcceptedTurn Accept(SessionRecord session, TurnRequest request)
    {
        StoredPart[] parts = [.. request.Parts.Select(Check)];
        if (!parts.Any(p => !string.IsNullOrWhiteSpace(p.Text)))
        {
            throw new RefusedException(ErrorCode.InvalidArgument, "The prompt is empty: a turn needs text that is not blank.");
        }

        SamplingPlan plan = SamplingPlan.From(request.Sampling);
        MergingPlan.From(request.Merging);
        (PromptTokens prompt, bool reset) = Written(() => Prompt(session, parts));
        int history = reset ? 0 : History(session.Turns).Sum(r => r.Ids.Count);
        CheckContext(history, prompt.Ids.Length);
        string[] hashes = [.. parts.Where(p => p.Image is not null).Select(p => p.Image!)];
        if (reset)
        {
            hashes = [.. session.Turns.SelectMany(t => t.Turn.Images), .. hashes];
        }

        return new AcceptedTurn
        {
            TurnId = request.TurnId,
            Digest = Digest(request),
            Parts = parts,
            Reset = reset,
            PromptIds = prompt.Ids,
            Images = [.. prompt.Images.Select((s, i) => new StoredImageTokens(s.Start, s.Length, hashes[i], s.Grid))],
            Sampling = new SamplingOptions { MaxTokens = plan.MaxTokens }.Over(request.Sampling),
            Merging = request.Merging,
            Priority = request.Priority,
            Timeout = request.Timeout,
        };
    }

    /// <summary>Checks text that a caller wrote: it must not speak in the model's own marks.</summary>
    /// <exception cref="RefusedException">It spells a special token or a picture's place.</exception>
    public void CheckText(string text)
    {
        if (_prompts.HoldsMarkup(text))
        {
            throw new RefusedException(ErrorCode.InvalidArgument, "The text contains one of the model's special tokens.");
        }
    }

    /// <summary>The tokens of a first turn.</summary>
    /// <exception cref="RefusedException">A part is malformed.</exception>
    public TokenCount Count(string system, IReadOnlyList<MessagePart> parts)
    {
        CheckText(system);
        StoredPart[] stored = [.. parts.Select(Check)];
        PromptTokens prompt = Written(() => _prompts.Build([.. System(system), User(stored)]));
        return new TokenCount(prompt.Ids.Length, prompt.Images.Sum(i => i.Length));
    }

    /// <summary>What the engine computes before the answer: committed runs in order, from the last rewritten prompt on.</summary>
    public static IReadOnlyList<TokenRun> History(IReadOnlyList<TurnRecord> turns)
    {
        List<TokenRun> runs = [];
        foreach (TurnRecord turn in turns)
        {
            if (turn.Accepted.Reset)
            {
                runs.Clear();
            }

            runs.Add(Run(turn.Accepted));
            runs.Add(new TokenRun { Ids = turn.AnswerIds });
        }

        return runs;
    }

    /// <summary>The prompt of an accepted turn.</summary>
    public static TokenRun Run(AcceptedTurn turn) => new()
    {
        Ids = turn.PromptIds,
        Images = [.. turn.Images.Select(i => new ImageTokens(i.Start, i.Length, i.Hash, i.Grid))],
        Merging = MergingPlan.From(turn.Merging),
    };

    /// <summary>SHA-256 over everything that decides what a turn does, lower-case hexadecimal.</summary>
    internal static string Digest(TurnRequest request)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (MessagePart part in request.Parts)
        {
            string text = part.Image is null ? "text:" + part.Text : string.Create(CultureInfo.InvariantCulture, $"image:{part.Image.Hash}{part.Seconds}");
            hash.AppendData(BitConverter.GetBytes(text.Length));
            hash.AppendData(Encoding.UTF8.GetBytes(text));
        }

        hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(request.Sampling, RecordJson.Default.SamplingOptions));
        hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(request.Merging, RecordJson.Default.MergingOptions));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static T Written<T>(Func<T> prompt)
    {
        try
        {
            return prompt();
        }
        catch (Exception refused) when (refused is TemplateException or RegexMatchTimeoutException)
        {
            // The template refuses the messages, or a pattern of the tokenizer never comes to an end on this text.
            throw new RefusedException(ErrorCode.InvalidArgument, refused.Message);
        }
    }

    private static ChatMessage User(IEnumerable<StoredPart> parts) => new("user", [.. parts.SelectMany(Shown)]);

    /// <summary>A frame of a video is a picture behind its time, in the words that Qwen's later models read times in.</summary>
    private static IEnumerable<ChatPart> Shown(StoredPart part)
    {
        if (part.Image is null)
        {
            return [ChatPart.OfText(part.Text!)];
        }

        ChatPart picture = ChatPart.OfImage(part.Width, part.Height);
        return part.Seconds is double seconds
            ? [ChatPart.OfText(string.Create(CultureInfo.InvariantCulture, $"<{seconds:F1} seconds>")), picture]
            : [picture];
    }

    private static IEnumerable<ChatMessage> System(string system) =>
        system.Length == 0 ? [] : [new ChatMessage("system", [ChatPart.OfText(system)])];

    private (PromptTokens Prompt, bool Reset) Prompt(SessionRecord session, StoredPart[] parts)
    {
        List<ChatMessage> history = [.. System(session.Spec.System)];
        if (session.Turns.Count == 0)
        {
            return (_prompts.Build([.. history, User(parts)]), true);
        }

        foreach (TurnRecord turn in session.Turns)
        {
            history.Add(User(turn.Accepted.Parts));
            history.Add(new ChatMessage("assistant", [ChatPart.OfText(turn.Turn.Text)]));
        }

        NextPrompt next = _prompts.Continue(history, User(parts));
        return (next.Tokens, next.Reset);
    }

    private StoredPart Check(MessagePart part)
    {
        if (part.Image is null)
        {
            CheckText(part.Text!);
            return new StoredPart { Text = part.Text };
        }

        if (model.Images is null)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, $"The model {model.Name} reads text only.");
        }

        if (part.Seconds is not null && !model.Template.KeepsOrder)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, $"The chat template of {model.Name} does not keep pictures and text in their order, so frames cannot be told their times.");
        }

        try
        {
            ImageHeader header = model.Images.Inspect(part.Image.Data, new ImageLimits(settings.MaxImageBytes, settings.MaxImagePixels));
            model.Images.Layout(header.Width, header.Height);
            return new StoredPart { Image = part.Image.Hash, Width = header.Width, Height = header.Height, Seconds = part.Seconds };
        }
        catch (ImageRejectedException rejected)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, rejected.Message);
        }
    }

    private void CheckContext(int history, int prompt)
    {
        if (history + prompt + 1 > model.ContextLength)
        {
            throw new RefusedException(
                ErrorCode.FailedPrecondition,
                $"The conversation would take {history + prompt + 1} tokens; the model's context holds {model.ContextLength}.");
        }
    }
}
