using FlowMM.Abstractions;
using FlowMM.Model;

namespace FlowMM.Engine;

/// <summary>What of a turn need not be decoded: less is known when more turns out to be gone.</summary>
internal enum Known
{
    Nothing,
    Pictures,
    History,
}

/// <summary>Decodes the pictures that a turn may need, away from the engine's thread.</summary>
internal sealed class TurnPictures(ChatModel model, ResidentSessions sessions, PictureFeatures features)
{
    /// <summary>The turn's own pictures, and those of its history where the session may have to be computed again; by hash.</summary>
    /// <exception cref="RefusedException">A picture is refused.</exception>
    public async Task<Dictionary<string, ProcessedImage>> Decode(TurnInput input, Known known, CancellationToken cancellationToken)
    {
        Dictionary<string, ProcessedImage> images = [];
        if (known != Known.Nothing && input.Progress is { State: not null, Ids.Count: > 0 } && sessions.BytesOf(input.Session) != default)
        {
            // It was frozen past its prompt, with its cache.
            return images;
        }

        await Decode([input.Prompt], input, known, images, cancellationToken);
        await input.Ready;
        if (known == Known.Nothing || sessions.BytesOf(input.Session) == default)
        {
            await Decode(input.History, input, known == Known.History ? Known.Pictures : known, images, cancellationToken);
        }

        return images;
    }

    private async Task Decode(
        IReadOnlyList<TokenRun> runs, TurnInput input, Known known, Dictionary<string, ProcessedImage> images, CancellationToken cancellationToken)
    {
        foreach (string hash in runs.SelectMany(r => r.Images).Select(i => i.Hash).Distinct().Where(h => !images.ContainsKey(h)))
        {
            if (known != Known.Nothing && features.Holds(input.Tenant, hash))
            {
                continue;
            }

            ReadOnlyMemory<byte> bytes = await input.LoadImage(hash, cancellationToken);
            images[hash] = await Task.Run(() => Decode(bytes), cancellationToken);
        }
    }

    private ProcessedImage Decode(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            return model.Images!.Preprocess(bytes);
        }
        catch (ImageRejectedException rejected)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, rejected.Message);
        }
    }
}
