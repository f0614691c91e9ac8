using System.Globalization;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Store;

namespace FlowMM.Silo.Files;

/// <summary>Turns from a file, each held against what a turn of this model can be: what passes can be replayed as if it had been said here.</summary>
internal sealed class ImportedTranscript
{
    private const int MaxParts = 256;
    private const int MaxSeconds = 86_400;
    private const int HashLength = 64;

    private readonly ChatModel _model;
    private readonly Conversation _conversation;
    private readonly SiloSettings _settings;
    private readonly SessionFileHead _head;
    private readonly List<TurnRecord> _turns = [];
    private readonly HashSet<string> _ids = [];
    private readonly List<string> _shown = [];
    private readonly OrderedDictionary<string, (int Width, int Height)> _pictures = [];
    private long _tokens;

    /// <summary>Checks the head.</summary>
    /// <exception cref="RefusedException">It is of another model, or speaks in the model's own marks.</exception>
    public ImportedTranscript(ChatModel model, Conversation conversation, SiloSettings settings, SessionFileHead head)
    {
        (_model, _conversation, _settings, _head) = (model, conversation, settings, head);
        if (head.ModelDigest != model.Digest)
        {
            bool digest = IsHash(head.ModelDigest);
            throw digest
                ? new RefusedException(ErrorCode.FailedPrecondition, $"The file is of a model with digest {head.ModelDigest}; {model.Name} has {model.Digest}.")
                : FrameReader.Refuse("its model's digest is none");
        }

        Check(head is { Turns: >= 0, Pictures: >= 0 }, "its counts are negative");

        // Generated code leaves a member that is missing null, whatever its type and default say, unless it is required.
        object?[] created = [head.Spec.System, head.Spec.Sampling, head.Spec.Merging];
        Check(created.All(m => m is not null), "its head leaves out how the session was created");
        conversation.CheckText(head.Spec.System);
        CheckOptions(head.Spec.Sampling, head.Spec.Merging);
    }

    public IReadOnlyList<TurnRecord> Turns => _turns;

    /// <summary>Hashes of the pictures, in the order in which they are first shown.</summary>
    public IEnumerable<string> Pictures => _pictures.Keys;

    /// <summary>Checks and appends a turn.</summary>
    /// <exception cref="RefusedException">It cannot follow those before it.</exception>
    public void Add(TurnRecord record)
    {
        AcceptedTurn accepted = record.Accepted;
        CheckTurn(SessionKey.IsValidId(accepted.TurnId) && _ids.Add(accepted.TurnId), "its id is malformed or taken");
        CheckTurn(IsHash(accepted.Digest), "its digest is none");
        CheckTurn(accepted.Timeout is null || accepted.Timeout > TimeSpan.Zero, "its timeout is not positive");
        CheckOptions(accepted.Sampling, accepted.Merging);
        CheckParts(accepted.Parts);
        CheckTokens(record);
        CheckTold(record);
        _turns.Add(record);
    }

    /// <summary>Checks what all turns come to.</summary>
    public void End() => Check(_pictures.Count == _head.Pictures, $"its turns show {_pictures.Count} pictures and its head says {_head.Pictures}");

    /// <summary>Checks a picture's frame.</summary>
    /// <param name="hash">Which one must come.</param>
    /// <param name="frame">The frame's body.</param>
    /// <param name="picture">The picture in it.</param>
    /// <exception cref="RefusedException">It is another one, damaged, or not as its turn says.</exception>
    public void CheckPicture(string hash, byte[] frame, ImmutableBytes picture)
    {
        Check(frame.Length > SessionFileFormat.DigestBytes && Convert.ToHexStringLower(frame.AsSpan(0, SessionFileFormat.DigestBytes)) == hash, $"picture {hash} should come next");
        if (picture.Hash != hash)
        {
            throw new RefusedException(ErrorCode.DataLoss, $"The file is damaged: the bytes of picture {hash} hash to {picture.Hash}.");
        }

        ImageHeader header = Taken(images => images.Inspect(picture.Data, new ImageLimits(_settings.MaxImageBytes, _settings.MaxImagePixels)));
        Check((header.Width, header.Height) == _pictures[hash], $"picture {hash} has {header.Width} x {header.Height} pixels, which is not what its turn says");
    }

    private static bool IsHash(string text) => text.Length == HashLength && text.All(char.IsAsciiHexDigitLower);

    private static void CheckOptions(SamplingOptions sampling, MergingOptions merging)
    {
        Check(sampling.Stop?.All(s => s is not null) ?? true, "a stop text is null");
        SamplingPlan.From(sampling);
        MergingPlan.From(merging);
    }

    private void CheckParts(IReadOnlyList<StoredPart> parts)
    {
        CheckTurn(parts.Count is > 0 and <= MaxParts, $"it has no part or more than {MaxParts}");
        foreach (StoredPart? part in parts)
        {
            CheckTurn(part is not null && part.Text is null != part.Image is null, "a part is neither text nor picture");
            CheckTurn(part!.Seconds is null or (>= 0 and <= MaxSeconds), "a frame's time is out of its range");
            if (part.Text is not null)
            {
                _conversation.CheckText(part.Text);
                continue;
            }

            (int Width, int Height) size = (part.Width, part.Height);
            CheckTurn(IsHash(part.Image!), "a picture's hash is none");
            CheckTurn(size is { Width: > 0, Height: > 0 } && (long)size.Width * size.Height <= _settings.MaxImagePixels, "a picture's size is out of its range");
            CheckTurn(_pictures.TryAdd(part.Image!, size) || _pictures[part.Image!] == size, "a picture has two sizes");
            _shown.Add(part.Image!);
        }

        CheckTurn(parts.Any(p => !string.IsNullOrWhiteSpace(p.Text)), "it has no text");
    }

    /// <summary>The ids are the model's, fit into its context, and show the pictures where and as long as the model reads them.</summary>
    private void CheckTokens(TurnRecord record)
    {
        AcceptedTurn accepted = record.Accepted;
        CheckTurn(accepted.Reset || _turns.Count > 0, "the first turn does not begin the conversation");
        CheckTurn(accepted.PromptIds.Concat(record.AnswerIds).All(i => i >= 0 && i < _model.Vocabulary), "a token is none of the model's");
        _tokens = (accepted.Reset ? 0 : _tokens) + record.Tokens;
        CheckTurn(accepted.PromptIds.Count > 0 && _tokens <= _model.ContextLength, $"its {_tokens} tokens are none, or more than the model's context of {_model.ContextLength}");
        string[] hashes = accepted.Reset ? [.. _shown] : [.. accepted.Parts.Where(p => p.Image is not null).Select(p => p.Image!)];
        CheckTurn(accepted.Images.All(i => i is not null) && hashes.SequenceEqual(accepted.Images.Select(i => i.Hash)), "its tokens show other pictures than its parts");
        int free = 0, visual = 0;
        foreach (StoredImageTokens image in accepted.Images)
        {
            (int width, int height) = _pictures[image.Hash];
            ImageLayout layout = Taken(images => images.Layout(width, height));
            CheckTurn(image.Length == layout.Tokens && image.Grid == layout.Grid, "a picture takes other tokens than the model reads for it");
            CheckTurn(image.Start >= free && image.Start <= accepted.PromptIds.Count - image.Length, "a picture's place is not in the prompt");
            CheckTurn(accepted.PromptIds.Skip(image.Start).Take(image.Length).All(i => i == (_model.ImageTokenId ?? 0)), "a picture's place holds text");
            free = image.Start + image.Length;
            visual += image.Length;
        }

        CheckTurn(_model.ImageTokenId is not int id || accepted.PromptIds.Count(i => i == id) == visual, "its prompt has a place for a picture that is not there");
    }

    /// <summary>What callers are told of the turn is what the turn was.</summary>
    private void CheckTold(TurnRecord record)
    {
        (AcceptedTurn accepted, Turn turn) = (record.Accepted, record.Turn);
        bool same = turn.TurnId == accepted.TurnId
            && turn.Index == _turns.Count + 1
            && turn.Prompt == string.Join('\n', accepted.Parts.Where(p => p.Text is not null).Select(p => p.Text))
            && turn.Images.SequenceEqual(accepted.Parts.Where(p => p.Image is not null).Select(p => p.Image!));
        CheckTurn(same, "what is told of it is not what it was");
        CheckTurn(turn.Provenance.SnapshotRefused is not null, "it leaves out whether a snapshot was refused");
        CheckTurn(turn.Compression?.Layers.All(l => l is not null) ?? true, "a layer's report is null");
        CheckTurn(turn.Logprobs?.All(t => t is not null && t.Top.All(s => s is not null)) ?? true, "a token's score is null");
    }

    private void CheckTurn(bool holds, string wrong) => Check(holds, $"turn {_turns.Count + 1}: {wrong}");

    private T Taken<T>(Func<ImagePreprocessor, T> read)
    {
        try
        {
            return read(_model.Images ?? throw new RefusedException(ErrorCode.InvalidArgument, $"The file shows pictures; the model {_model.Name} reads text only."));
        }
        catch (ImageRejectedException rejected)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, rejected.Message);
        }
    }

    private static void Check(bool holds, string wrong)
    {
        if (!holds)
        {
            throw FrameReader.Refuse(wrong);
        }
    }
}
