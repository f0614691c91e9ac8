using FlowMM.Model.Configuration;

namespace FlowMM.Model.Images;

/// <summary>
/// Qwen2.5-VL's dynamic resolution: sides rounded to whole merge blocks within a range of areas, pixels as rows of patches in the order
/// (block row, block column, row in block, column in block), each patch as [3, frames, height, width].
/// </summary>
internal sealed class PatchRows : IPictureForm
{
    /// <summary>Bound on a picture's area: 2^24 pixels would be 400 MB of rows.</summary>
    private const int MostPixels = 1 << 24;
    private const int MostAspect = 200;

    private readonly Resampler _resampler;
    private readonly PixelScale _scale;
    private readonly int _patch;
    private readonly int _frames;
    private readonly int _merge;
    private readonly int _leastPixels;
    private readonly int _mostPixels;

    public PatchRows(JsonFields file)
    {
        (_resampler, _scale) = (Resampler.For(file.Whole("resample", 3)), new PixelScale(file));
        (_patch, _frames, _merge) = (file.Whole("patch_size", 14), file.Whole("temporal_patch_size", 2), file.Whole("merge_size", 2));
        file.Check(_patch is > 0 and <= 256 && _frames is > 0 and <= 16 && _merge is > 0 and <= 16, "patch_size, temporal_patch_size or merge_size is out of range.");

        // The old keys win over the new one, as in the reference.
        JsonFields size = file.Find("size") ?? file;
        _leastPixels = file.Whole("min_pixels", size.Whole("shortest_edge", 56 * 56));
        _mostPixels = file.Whole("max_pixels", size.Whole("longest_edge", 28 * 28 * 1280));
        file.Check(_leastPixels > 0 && _mostPixels >= Block * Block && _leastPixels <= _mostPixels && _mostPixels <= MostPixels, $"min_pixels {_leastPixels} and max_pixels {_mostPixels} are no range within {Block * Block} to {MostPixels}.");
    }

    /// <inheritdoc/>
    public int FixedTokens => 0;

    private int Block => _patch * _merge;

    /// <inheritdoc/>
    public ImageLayout Layout(int width, int height)
    {
        (int w, int h) = Size(width, height);
        ImageGrid grid = new(1, h / _patch, w / _patch);
        return new ImageLayout
        {
            Shape = [grid.Rows * grid.Columns, PixelGrid.Channels * _frames * _patch * _patch],
            Tokens = grid.Rows * grid.Columns / (_merge * _merge),
            Grid = grid,
        };
    }

    /// <inheritdoc/>
    public float[] Pixels(PixelGrid image)
    {
        (int width, int height) = Size(image.Width, image.Height);
        image = _resampler.Resize(image, width, height);
        float[] rows = new float[PixelGrid.Channels * _frames * width * height];
        int at = 0;
        for (int top = 0; top < height; top += Block)
        {
            for (int left = 0; left < width; left += Block)
            {
                for (int i = 0; i < _merge * _merge; i++)
                {
                    Patch(image, left + (i % _merge * _patch), top + (i / _merge * _patch), rows, ref at);
                }
            }
        }

        return rows;
    }

    /// <summary>The size that a picture is brought to: both sides whole blocks, rounded half to even, area within the range, aspect nearly kept.</summary>
    /// <exception cref="ImageRejectedException">One side is more than 200 times the other.</exception>
    internal (int Width, int Height) Size(int width, int height)
    {
        if (Math.Max(width, height) > (long)MostAspect * Math.Min(width, height))
        {
            throw new ImageRejectedException($"The picture is {width} x {height}; one side may be at most {MostAspect} times the other.");
        }

        double w = Math.Round((double)width / Block) * Block, h = Math.Round((double)height / Block) * Block;
        if (w * h > _mostPixels)
        {
            double shrink = Math.Sqrt((double)height * width / _mostPixels);
            (w, h) = (Math.Max(Block, Math.Floor(width / shrink / Block) * Block), Math.Max(Block, Math.Floor(height / shrink / Block) * Block));
        }
        else if (w * h < _leastPixels)
        {
            double grow = Math.Sqrt(_leastPixels / ((double)height * width));
            (w, h) = (Math.Ceiling(width * grow / Block) * Block, Math.Ceiling(height * grow / Block) * Block);
        }

        return ((int)w, (int)h);
    }

    /// <summary>A still picture fills every frame of its patches.</summary>
    private void Patch(PixelGrid image, int left, int top, float[] rows, ref int at)
    {
        for (int c = 0; c < PixelGrid.Channels; c++)
        {
            int plane = at;
            for (int y = 0; y < _patch; y++)
            {
                for (int x = 0, from = ((((top + y) * image.Width) + left) * PixelGrid.Channels) + c; x < _patch; x++, from += PixelGrid.Channels)
                {
                    rows[at++] = _scale.At(image.Data[from], c);
                }
            }

            for (int frame = 1; frame < _frames; frame++, at += _patch * _patch)
            {
                rows.AsSpan(plane, _patch * _patch).CopyTo(rows.AsSpan(at));
            }
        }
    }
}
